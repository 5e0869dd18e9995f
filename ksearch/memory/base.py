"""The knowledge base: a file of contributions, one line each, that grows at its end and is never rewritten.

It lies beside the runs that it learnt from, or where KSEARCH_KNOWLEDGE says. Its first line names it: a run that began with this base
adds to it when it ends, a run from elsewhere does so only when the user asks (`ksearch memory add`).
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from ksearch.errors import BadInput
from ksearch.worldmodel.memory import Contribution, latest

VARIABLE = "KSEARCH_KNOWLEDGE"
FILE = "knowledge.jsonl"
CONTRIBUTION: TypeAdapter[Contribution] = TypeAdapter(Contribution)


class _Heading(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    knowledge_base: str
    format: int = 1


def base_path(runs_dir: Path, environ: Mapping[str, str] = os.environ) -> Path:
    named = environ.get(VARIABLE, "").strip()
    return Path(named).expanduser() if named else runs_dir / FILE


@dataclass(frozen=True)
class KnowledgeBase:
    """Several processes may add to one file. Methods raise BadInput for a file that isn't one."""

    path: Path

    def name(self) -> str | None:
        """None before anything was put there."""
        return None if not self.path.exists() else self._heading(self.path.read_text("utf-8").splitlines()[:1])

    def founded(self) -> str:
        """Its name; an empty base is made if there is none."""
        with self._open():
            pass
        name = self.name()
        assert name is not None
        return name

    def contributions(self) -> tuple[Contribution, ...]:
        """What counts of each run: the latest of what it added. In the order in which runs first added something."""
        return tuple(latest(self._lines()).values())

    def add(self, contribution: Contribution, *, asked: bool = False) -> None:
        """Durable when it returns. A forgotten run is taken up again only when somebody asks for it."""
        known = latest(self._lines()).get(contribution.identity)
        if known is not None and known.forgotten and not asked:
            return
        again = 0 if known is None else known.generation + known.forgotten
        self._append(replace(contribution, generation=again))

    def _append(self, contribution: Contribution) -> None:
        with self._open() as file:
            file.write(CONTRIBUTION.dump_json(contribution).decode("utf-8") + "\n")
            file.flush()
            os.fsync(file.fileno())

    def forget(self, run: str) -> int:
        """Nothing of the runs called so counts any more, and nothing that they add later; how many runs that were."""
        known = [one for one in self.contributions() if one.run == run and not one.forgotten]
        for one in known:
            self._append(replace(one, tallies=(), lessons=(), forgotten=True))
        return len(known)

    def _lines(self) -> Iterator[Contribution]:
        if not self.path.exists():
            return
        lines = self.path.read_text("utf-8").splitlines()
        self._heading(lines[:1])
        for number, line in enumerate(lines[1:], 2):
            try:
                yield CONTRIBUTION.validate_json(line)
            except ValidationError as error:
                if number == len(lines):
                    return  # a writer died in the middle of it
                raise BadInput(f"{self.path}, line {number}: {str(error).splitlines()[0]}; remove the line, or the file") from None

    def _heading(self, lines: list[str]) -> str:
        try:
            return _Heading.model_validate_json("".join(lines)).knowledge_base
        except ValidationError:
            raise BadInput(f"{self.path} is no knowledge base; name another file by {VARIABLE}, or remove it") from None

    @contextmanager
    def _open(self) -> Iterator[TextIOWrapper]:
        """At its end, alone: locked against other writers, with the heading there. Raises BadInput where it can't be written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if file.seek(0, os.SEEK_END) == 0:
                    file.write(_Heading(knowledge_base=secrets.token_hex(8)).model_dump_json() + "\n")
                    file.flush()
                elif not self._ends_in_newline():
                    file.write("\n")
                yield file
        except OSError as error:
            raise BadInput(f"{self.path}: {error.strerror}; name another file by {VARIABLE}, or use --no-memory") from error

    def _ends_in_newline(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"
