"""Texts as runs of shared lines: Lempel and Ziv's idea ("A universal algorithm for sequential data compression", 1977), by lines.

A kernel differs from the ones before it in a few lines, so 10,000 of them cost little more than their differences, and
each can be put together again without the others.
"""

from __future__ import annotations

SHORTEST = 4
"""Lines that a match must have. Taking single braces from elsewhere would cut every later text into as many runs as it has braces."""

NEAREST = 8
"""Places that are tried for the longest match: the latest copies are the likeliest."""

BLOCK = 32
"""Lines compared at once."""


class LineTable:
    """The lines so far; a text is runs of them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._places: dict[tuple[str, ...], list[int]] = {}
        self._texts: dict[str, list[int]] = {}

    def add(self, text: str) -> list[int]:
        """Starts and counts, by turns."""
        if text not in self._texts:
            self._texts[text] = self._encode(text.split("\n"))
        return self._texts[text]

    def _encode(self, wanted: list[str]) -> list[int]:
        runs: list[int] = []
        at = 0
        while at < len(wanted):
            start, count = self._longest(wanted, at) or self._append(wanted[at])
            if runs and runs[-2] + runs[-1] == start:
                runs[-1] += count
            else:
                runs += [start, count]
            at += count
        return runs

    def _longest(self, wanted: list[str], at: int) -> tuple[int, int] | None:
        places = self._places.get(tuple(wanted[at : at + SHORTEST]), ())
        return max(((start, self._match(wanted, at, start)) for start in places), key=lambda found: found[1], default=None)

    def _match(self, wanted: list[str], at: int, start: int) -> int:
        count = 0
        while (piece := wanted[at + count : at + count + BLOCK]) and piece == self.lines[start + count : start + count + BLOCK]:
            count += len(piece)
        while at + count < len(wanted) and start + count < len(self.lines) and self.lines[start + count] == wanted[at + count]:
            count += 1
        return count

    def _append(self, line: str) -> tuple[int, int]:
        self.lines.append(line)
        if len(self.lines) >= SHORTEST:
            places = self._places.setdefault(tuple(self.lines[-SHORTEST:]), [])
            places.append(len(self.lines) - SHORTEST)
            del places[:-NEAREST]
        return len(self.lines) - 1, 1
