"""Errors a person can act on. Each names the thing, the place and the way out; the CLI prints the message and exits with the code."""

from __future__ import annotations


class KsearchError(Exception):
    """Base of every error that is a message to the user, not a defect of the program."""

    exit_code = 1


class BadInput(KsearchError):
    """What the user gave can't be used: refused before anything is written or spent."""

    exit_code = 2


class NoCandidate(KsearchError):
    """The search ended before any candidate passed."""

    exit_code = 3


class Unavailable(KsearchError):
    """An evaluator, provider, device or optional package is absent or out of reach."""

    exit_code = 4
