"""How text and numbers are shown. Text of a run (a model's words, a compiler's log) is untrusted: none may steer a terminal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

ELLIPSIS = "…"
NAME = 80
"""Characters of a name (a run's, a definition's, a device's) in a heading; real ones have fewer."""


def inert(text: str) -> str:
    """One line of printable characters: everything else (escapes, controls of C0 and C1, direction marks, line ends, what
    has no width, lone surrogates) is written as its number, `\\x1b` or `\\u202e`."""
    return text if text.isprintable() else "".join(map(_shown, text))


def inert_lines(text: str) -> list[str]:
    """Lines of printable characters: as `inert`, with line ends kept as such and tabs as blanks."""
    return [inert(line) for line in text.expandtabs(4).replace("\r\n", "\n").split("\n")]


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def ascii_json(text: str) -> str:
    """JSON text with everything beyond ASCII as `\\uXXXX`: the same value, and no byte that a terminal acts on."""
    return text if text.isascii() and "\x7f" not in text else _BEYOND_ASCII.sub(_escaped, text)


_BEYOND_ASCII = re.compile(r"[^\x00-\x7e]")


def _escaped(match: re.Match[str]) -> str:
    """In UTF-16 units, as JSON has it."""
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def clipped(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + ELLIPSIS


def named(text: str) -> str:
    """A name in a heading: inert, and no longer than NAME."""
    return clipped(inert(text), NAME)


def us(value: float) -> str:
    """Microseconds with three significant digits below 100."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio(value: float) -> str:
    """How many times, with three significant digits below 100: '2.05x', '2,053x'."""
    return f"{us(value)}x"


def nats(value: float | None) -> str:
    """A reward or a gain: natural logarithm of a speed-up, with its sign."""
    return "-" if value is None else f"{value:+.3f}"


def percent(gain: float) -> str:
    """A gain in nats as a speed-up: 0.1 is '1.11x'."""
    return f"{_exp(gain):.2f}x"


def _exp(value: float) -> float:
    from math import exp

    return exp(min(value, 700.0))


def seconds(value: float) -> str:
    if value < 120:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Lines of a table; the first `left` columns begin at the left, the others end at the right."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    return ["  ".join(_cell(text, widths[at], at < left) for at, text in enumerate(row)).rstrip() for row in (headings, *rows)]


def _cell(text: str, width: int, left: bool) -> str:
    return text.ljust(width) if left else text.rjust(width)


def wants_colour() -> bool:
    """Colours go to a terminal that takes them, unless NO_COLOR is set (https://no-color.org); FORCE_COLOR sends them anywhere."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(os.environ.get("FORCE_COLOR")) or sys.stdout.isatty()
