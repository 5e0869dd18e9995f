"""Source text as a forecaster may see it: without comments, which leak (a name, a measured time) and lie."""

from __future__ import annotations

import io
import re
import tokenize
from functools import lru_cache

# Strings come first, so that a comment sign inside one isn't taken for a comment; R"x( ... )x" is C++'s raw string.
_C_PIECE = re.compile(
    r"""(?P<kept>R"(?P<mark>[^\s()\\]{0,16})\((?:.|\n)*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
    r"""|(?P<comment>//[^\n]*|/\*(?:.|\n)*?\*/)"""
)
_PYTHON_SUFFIXES = (".py", ".pyi")
_BLANK = re.compile(r"[ \t]+(?=\n)|\n(?:[ \t]*\n)+")


@lru_cache(maxsize=512)
def strip_comments(path: str, text: str) -> str:
    """The text without comments, docstrings and blank lines; Python by its tokens, everything else as C++."""
    bare = _without_python_comments(text) if path.endswith(_PYTHON_SUFFIXES) else _without_c_comments(text)
    return _BLANK.sub(lambda match: "\n" if "\n" in match[0] else "", bare).strip("\n") + "\n"


def _without_c_comments(text: str) -> str:
    return _C_PIECE.sub(lambda match: match["kept"] or " ", text)


def _without_python_comments(text: str) -> str:
    """Comments and strings that stand alone as statements. A text that is no Python is left as it is, comments aside."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, IndentationError, SyntaxError):
        return re.sub(r"(?m)^\s*#[^\n]*\n?", "", text)
    lines = text.splitlines(keepends=True)
    for token in reversed([token for index, token in enumerate(tokens) if _is_prose(tokens, index)]):
        _cut(lines, token.start, token.end, "pass" if token.type == tokenize.STRING else "")
    return "".join(lines)


def _is_prose(tokens: list[tokenize.TokenInfo], index: int) -> bool:
    token = tokens[index]
    if token.type == tokenize.COMMENT:
        return True
    if token.type != tokenize.STRING:
        return False
    before = next((other for other in reversed(tokens[:index]) if other.type not in (tokenize.NL, tokenize.COMMENT)), None)
    alone = before is None or before.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING)
    after = tokens[index + 1].type if index + 1 < len(tokens) else tokenize.ENDMARKER
    return alone and after in (tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.COMMENT)


def _cut(lines: list[str], start: tuple[int, int], end: tuple[int, int], instead: str) -> None:
    (row, column), (last_row, last_column) = start, end
    lines[row - 1 : last_row] = [lines[row - 1][:column] + instead + lines[last_row - 1][last_column:]]
