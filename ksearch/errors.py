"""Errors that end a command, each with its exit code. Anything else that escapes is an internal error (exit 1)."""

from __future__ import annotations

from typing import ClassVar


class KsearchError(Exception):
    """Base: the message names the thing, the place and the way out."""

    exit_code: ClassVar[int] = 1


class BadInput(KsearchError):
    """Refused before anything was spent or written."""

    exit_code = 2


class Unavailable(KsearchError):
    """An evaluator or provider can't be reached or used."""

    exit_code = 4


def printable(text: str) -> str:
    """One line that does nothing to a terminal: names and messages may come from files that strangers made."""
    plain = text.replace("\t", " ").replace("\n", " ")
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in plain)
