"""Reading template text: package-data files cut into named sections.

A section starts at a line `//% name` (C++) or `#% name` (Python) and runs to the next such line. Sections are joined
by the families as they are, without substitution: what varies by number is a named constant in the generated code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

_MARK = re.compile(r"^(?://|#)% (\S+)\n", re.MULTILINE)


@cache
def sections(package: str, filename: str) -> Mapping[str, str]:
    """Sections of one template file by name. Raises ValueError for a repeated name or text before the first."""
    text = files(package).joinpath(filename).read_text(encoding="utf-8")
    head, *parts = _MARK.split(text)
    if head.strip():
        raise ValueError(f"{package}/{filename}: text before the first section")
    names = parts[0::2]
    if len(names) != len(set(names)):
        raise ValueError(f"{package}/{filename}: repeated section")
    return MappingProxyType({name: body.strip("\n") + "\n" for name, body in zip(names, parts[1::2], strict=True)})


def join(*pieces: str) -> str:
    """Pieces of source with one empty line between them; empty pieces leave no trace."""
    return "\n".join(piece.strip("\n") + "\n" for piece in pieces if piece.strip())


def constants(**values: int) -> str:
    """C++ compile-time constants, so that loops have known bounds."""
    return "".join(f"constexpr int {name} = {value};\n" for name, value in values.items())
