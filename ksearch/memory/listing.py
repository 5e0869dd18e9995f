"""The knowledge base as a person looks at it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ksearch.errors import BadInput
from ksearch.memory.base import KnowledgeBase, base_path
from ksearch.memory.gathering import contribution_of
from ksearch.report.text import ascii_json, inert
from ksearch.store.journal import read_state
from ksearch.store.log import EventLog
from ksearch.store.runs import default_runs_dir, find_run
from ksearch.worldmodel.briefing import factor
from ksearch.worldmodel.memory import Contribution, Tally


class Listing(BaseModel):
    """What `ksearch memory list --json` prints. `knowledge_base` names it; None where there is none yet."""

    model_config = ConfigDict(frozen=True)

    path: str
    knowledge_base: str | None
    runs: tuple[Contribution, ...]


def base_of(runs_dir: Path | None) -> KnowledgeBase:
    return KnowledgeBase(base_path(default_runs_dir(runs_dir)))


def print_knowledge(runs_dir: Path | None, *, as_json: bool) -> None:
    base = base_of(runs_dir)
    listing = Listing(
        path=str(base.path), knowledge_base=base.name(), runs=tuple(one for one in base.contributions() if not one.forgotten)
    )
    print(ascii_json(listing.model_dump_json()) if as_json else "\n".join(_lines(listing)))  # noqa: T201


def _lines(listing: Listing) -> list[str]:
    lines = [f"{inert(listing.path)}: {len(listing.runs)} runs"]
    for one in listing.runs:
        about = ", ".join(part for part in (one.about.operator, one.about.hardware, one.about.bottleneck) if part)
        lines += ["", f"{inert(one.run)}  {inert(one.definition)} ({inert(about)})"]
        lines += [f"  {inert(text)}" for text in one.lessons]
        lines += [f"  {_tally(tally)}" for tally in one.tallies]
    return lines


def _tally(tally: Tally) -> str:
    mean = f", {factor(tally.gain_sum / tally.gains)} on average" if tally.gains else ""
    return f"{inert(tally.technique)}: passed {tally.successes} of {tally.tries}{mean}"


def add_run(run: str, runs_dir: Path | None) -> str:
    """Raises BadInput for a run that has nothing to teach."""
    with EventLog.open_reader(find_run(run, default_runs_dir(runs_dir)).database) as log:
        taught = contribution_of(read_state(log), log)
    if not (taught.tallies or taught.lessons):
        raise BadInput(f"run {taught.run}: it has measured nothing yet that could be remembered")
    base = base_of(runs_dir)
    base.add(taught, asked=True)
    return f"{taught.run}: {len(taught.tallies)} techniques and {len(taught.lessons)} lessons, in {base.path}"


def forget_run(run: str, runs_dir: Path | None) -> str:
    base = base_of(runs_dir)
    if not base.forget(run):
        known = ", ".join(one.run for one in base.contributions() if not one.forgotten) or "none"
        raise BadInput(f"memory forget {run}: {base.path} knows no such run; it knows {known}")
    return f"{run} is forgotten"
