"""Keeps API keys out of a run's log, which people share: the last line of defence behind code that never logs them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping

from ksearch.store.errors import SecretRefused

_SUFFIXES = ("_API_KEY", "_TOKEN", "_SECRET")
_SHORTEST = 12
"""Shorter values are no keys, and would match by chance."""


def refuse_secrets(texts: Iterable[str], blobs: Iterable[bytes] = ()) -> None:
    """Raise SecretRefused, naming the variable and never its value, when a text or a blob holds a key of the environment."""
    keys = _keys()
    if not keys:
        return
    texts, blobs = list(texts), list(blobs)
    for name, spellings in keys:
        found = any(key in text for text in texts for key in spellings)
        if found or any(key.encode("utf-8", "surrogateescape") in blob for blob in blobs for key in spellings):
            raise SecretRefused(f"an event or blob holds the value of {name}; it was not stored")


def is_secret(name: str) -> bool:
    """Whether a variable of this name holds a key, by convention."""
    return name.upper().endswith(_SUFFIXES)


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment for a process that has no business with keys."""
    return {name: value for name, value in environ.items() if not is_secret(name)}


def _keys() -> list[tuple[str, frozenset[str]]]:
    """Names of the key variables, with the ways in which their value may be spelt in JSON."""
    found = [(name, value) for name, value in os.environ.items() if len(value) >= _SHORTEST and is_secret(name)]
    return [(name, _spellings(value)) for name, value in found]


def _spellings(value: str) -> frozenset[str]:
    return frozenset({value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]})
