"""Search/replace edits on a solution's files: applied only when there is no doubt about what is meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ksearch.definitions.schema import SourceFile


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the one place in `path` that reads `search`. An empty `search` makes a new file; an empty `replace` deletes the place."""

    path: str
    search: str
    replace: str


class BadEdit(ValueError):
    """The message is written for the model that proposed the edit."""


def applied(sources: Iterable[SourceFile], edits: Iterable[Edit]) -> tuple[SourceFile, ...]:
    """The files after all edits, in order, each on the result of the one before. Raises BadEdit, then nothing is applied."""
    files: dict[str, str] = {source.path: source.content for source in sources}
    for number, edit in enumerate(edits, 1):
        try:
            files[edit.path] = _edited(files, edit)
        except BadEdit as error:
            raise BadEdit(f"Edit {number}: {error}") from None
    if not any(files.values()):
        raise BadEdit("The edits leave no file")
    return tuple(SourceFile(path=path, content=content) for path, content in files.items() if content)


def _edited(files: Mapping[str, str], edit: Edit) -> str:
    content = files.get(edit.path)
    if content is None:
        if edit.search:
            raise BadEdit(f"there is no file {edit.path[:80]!r}; the files are {', '.join(files)}")
        if not edit.replace:
            raise BadEdit(f"a new file {edit.path[:80]!r} needs a content")
        return edit.replace
    if not edit.search:
        raise BadEdit(f"{edit.path} exists: say what to search for")
    count = content.count(edit.search)
    if count != 1:
        found = "is not in" if count == 0 else f"occurs {count} times in"
        raise BadEdit(f"the text to search for {found} {edit.path}; it must occur exactly once, to the character: {edit.search[:160]!r}")
    return content.replace(edit.search, edit.replace)
