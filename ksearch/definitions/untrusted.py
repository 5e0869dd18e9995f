"""Reading files that nobody vouches for: a solution from a colleague, a contest or a language model.

Everything here bounds what is read before it is read, and follows no link: a Solution that names `/etc/passwd` as its source,
or a folder with a link to it, would otherwise print it in a compiler's error message.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ksearch.errors import BadInput

MAX_JSON_BYTES = 32 * 2**20
"""Eight times the most that sources may have: JSON escapes a byte with up to six."""
MAX_FILE_BYTES = 4 * 2**20
MAX_ENTRIES = 2000
"""Files and folders looked at below a solution's folder before it is taken for the wrong folder."""
CODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
"""A Python source's own claim on its encoding (PEP 263), in its first two lines."""
BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Controls that make an editor show other code than the compiler reads."""


def read_text(path: Path, limit: int = MAX_FILE_BYTES, *, follow: bool = False) -> str:
    """A plain file's text, UTF-8. Raises BadInput for anything else, without having read it.

    `follow` for a file that the user named, or of a data set: download caches are made of links.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags if follow else flags | os.O_NOFOLLOW)
    except OSError as error:
        reason = "is a symbolic link, which is not followed" if path.is_symlink() else (error.strerror or str(error)).lower()
        raise BadInput(f"{path}: {reason}") from error
    except ValueError as error:
        raise BadInput(f"{str(path)!r}: {error}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadInput(f"{path}: is no plain file")
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise BadInput(f"{path}: over the limit of {limit} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: is not UTF-8 (byte {error.start})") from error


def read_json(path: Path) -> Any:
    """A JSON document without repeated keys, of bounded size and depth. Raises BadInput."""
    text = read_text(path, MAX_JSON_BYTES)
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except RecursionError as error:
        raise BadInput(f"{path}: nested too deeply to be read") from error
    except ValueError as error:
        raise BadInput(f"{path}: is not JSON: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers may disagree on which of two equal keys counts: one checks the first, another runs the second."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} stands twice in one object")
    return found


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong with a document, and where: one line, of bounded length."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))[:200]
    return f"{place}: {first['msg']}"[:500] if place else str(first["msg"])[:500]


def plain_files(folder: Path) -> Iterator[Path]:
    """Every plain file below a folder, in order. Raises BadInput at the first link or special file, and for a folder without end."""
    seen = 0
    for parent, folders, files in os.walk(folder, followlinks=False):
        folders.sort()
        for name in sorted(folders + files):
            path = Path(parent) / name
            seen += 1
            if seen > MAX_ENTRIES:
                raise BadInput(f"{folder}: has over {MAX_ENTRIES} files; give the folder of one solution")
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                raise BadInput(f"{path}: is a symbolic link, which is not followed")
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise BadInput(f"{path}: is no plain file")
            if stat.S_ISREG(mode):
                yield path


def strange_text(path: str, text: str) -> str | None:
    """What is odd about a source's text, so that it may not mean to the compiler what it means to a reader; None when nothing."""
    if "\0" in text:
        return "holds a NUL byte"
    if text.startswith("\ufeff"):
        return "begins with a byte order mark"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "holds half of a surrogate pair, which no encoding has"
    if not BIDI.isdisjoint(text):
        return "holds bidirectional controls, which hide code from a reader"
    return _own_encoding(text) if path.endswith(".py") else None


def _own_encoding(text: str) -> str | None:
    for line in text.encode("utf-8").splitlines()[:2]:
        if (claim := CODING.match(line)) is None:
            continue
        name = claim.group(1).decode()
        try:
            known = codecs.lookup(name).name
        except LookupError:
            known = name
        if known not in ("utf-8", "ascii"):
            return f"claims the encoding {name}; sources are UTF-8"
    return None
