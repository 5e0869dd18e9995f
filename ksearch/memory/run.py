"""Memory as part of a run: what it recalls when it begins is logged, what it taught is added when it ends."""

from __future__ import annotations

from pathlib import Path

from ksearch.memory.base import KnowledgeBase, base_path
from ksearch.memory.gathering import class_of, contribution_of, identity_of
from ksearch.prepare import Setup
from ksearch.settings import Settings
from ksearch.store.changes import recalled_event
from ksearch.store.journal import Journal
from ksearch.worldmodel.memory import recall


def remembers(settings: Settings) -> bool:
    """Only a model can make use of words, and only real latencies are worth keeping."""
    return settings.memory and settings.planner == "llm" and settings.evaluator != "fake"


def recall_into(journal: Journal, setup: Setup, runs_dir: Path) -> None:
    """Log what earlier runs taught, once, when a run begins. Raises BadInput for a knowledge base that can't be read."""
    if not remembers(setup.settings):
        return
    base = KnowledgeBase(base_path(runs_dir))
    about = class_of(setup.definition, journal.state.header, journal.state)
    known = recall(base.contributions(), about, setup.definition.name, unless=identity_of(journal.log))
    journal.record(recalled_event(base.founded(), known))


def add_from(journal: Journal, setup: Setup, runs_dir: Path) -> None:
    """What this run taught so far, in place of what it added before; nothing unless it began with this very base."""
    recalled, base = journal.state.recalled, KnowledgeBase(base_path(runs_dir))
    if recalled is None or not remembers(setup.settings) or base.name() != recalled.base:
        return
    taught = contribution_of(journal.state, journal.log)
    if taught.tallies or taught.lessons:
        base.add(taught)
