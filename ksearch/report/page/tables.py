"""Lists of like objects as tables, so that neither their names nor their repeated words stand more than once.

A column is its name, or `{"name": ..., ...}` with one of: `words` (cells are indices into this list), `object` (cells are
rows of these columns), `list` (cells are lists of such rows). A cell of null is null in each case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Plain: TypeAlias = Any
"""What JSON can hold."""


class Runs(list[int]):
    """A text as runs of lines; it becomes `{"$lines": [...]}`."""


Columns: TypeAlias = list[Any]


def tabulated(value: Plain) -> Plain:
    """The same with every list of two or more objects of the same keys as `{"$columns": ..., "$rows": ...}`."""
    if isinstance(value, dict):
        return {_escaped(key): tabulated(item) for key, item in value.items()}
    if isinstance(value, Runs):
        return {"$lines": list(value)}
    if not isinstance(value, list):
        return value
    if len(value) < 2 or not _alike(value):
        return [tabulated(item) for item in value]
    columns, rows = _table(value)
    return {"$columns": columns, "$rows": rows}


def _escaped(key: str) -> str:
    """The names of settings and of the environment come from the run's file: none is taken for a table."""
    return f"${key}" if key.startswith("$") else key


def _alike(rows: Sequence[Plain]) -> bool:
    if not rows or not isinstance(rows[0], dict) or not rows[0]:
        return False
    keys = rows[0].keys()
    return all(isinstance(row, dict) and row.keys() == keys for row in rows)


def _table(objects: Sequence[Mapping[str, Plain]]) -> tuple[Columns, list[list[Plain]]]:
    made = [_column(name, [item[name] for item in objects]) for name in objects[0]]
    return [column for column, _ in made], [list(row) for row in zip(*(cells for _, cells in made), strict=True)]


def _column(name: str, cells: list[Plain]) -> tuple[Plain, list[Plain]]:
    known = [cell for cell in cells if cell is not None]
    if known and all(isinstance(cell, str) for cell in known) and 2 * len(words := list(dict.fromkeys(known))) <= len(known):
        places = {word: place for place, word in enumerate(words)}
        return {"name": name, "words": words}, [None if cell is None else places[cell] for cell in cells]
    if _alike(known):
        columns, rows = _table(known)
        left = iter(rows)
        return {"name": name, "object": columns}, [None if cell is None else next(left) for cell in cells]
    if known and all(type(cell) is list for cell in known) and _alike(flat := [item for cell in known for item in cell]):
        columns, rows = _table(flat)
        left = iter(rows)
        return {"name": name, "list": columns}, [None if cell is None else [next(left) for _ in cell] for cell in cells]
    return name, [tabulated(cell) if isinstance(cell, dict | list) else cell for cell in cells]
