"""Running again from a moment of a run: the beginning is the old run's, the rest its own."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import ksearch as ksearch_package
from ksearch.branching import Branch, Point, branch_at, plant
from ksearch.errors import BadInput
from ksearch.search import Search
from ksearch.settings import BudgetSettings
from ksearch.store.events import EvaluationSettled, Opened, RunCreated, parse_event
from ksearch.store.journal import Journal, read_state
from ksearch.store.log import EventLog
from tests.search.conftest import Bench
from tests.search.test_search import picture, state_of

MORE = {"budget": {"max_evaluations": 26}}


@pytest.fixture
def old(bench: Bench) -> Iterator[EventLog]:
    """The log of a run of 20 evaluations, open for reading."""
    bench.search()
    assert bench.journal is not None
    bench.journal.log.close()
    with EventLog.open_reader(bench.folder / "run.sqlite") as log:
        yield log


def planted(branch: Branch, old: EventLog, folder: Path) -> Journal:
    return plant(branch, old, EventLog.create(folder / "run.sqlite"))


def search_on(journal: Journal, bench: Bench) -> str:
    parts = bench.parts()
    try:
        journal.record(Opened(pid=1, resumed=False, environment={}))
        return Search(journal, parts, bench.stop).run().status
    finally:
        parts.evaluator.close()
        journal.log.close()


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("latest", Point("latest")),
        ("20261121-a@17", Point("20261121-a", seq=17)),
        ("runs/a#3", Point("runs/a", node=3)),
        ("runs/a@b", Point("runs/a@b")),
        ("mail@3@4", Point("mail@3", seq=4)),
    ],
)
def test_points_are_read(text: str, point: Point) -> None:
    assert Point.parse(text) == point


def test_a_branch_begins_as_the_old_run_stood_at_that_event(old: EventLog, bench: Bench, tmp_path: Path) -> None:
    events = list(old.events())
    for seq in range(1, old.last_seq + 1, 7):
        journal = planted(branch_at(old, Point("r", seq=seq), MORE), old, tmp_path / f"at-{seq}")
        copied = list(journal.log.events())[1:seq]
        assert [row[1:] for row in copied] == [row[1:] for row in events[1:seq]]
        header = parse_event(next(journal.log.events()).payload)
        assert isinstance(header, RunCreated)
        assert (header.run, header.branched and header.branched.seq) == (f"at-{seq}", seq)
        assert journal.state.settings.budget.max_evaluations == 26
        journal.log.close()


@pytest.mark.parametrize("tenth", range(1, 10, 2))
def test_cut_anywhere_it_goes_on_to_its_end_and_charges_nothing_twice(old: EventLog, bench: Bench, tmp_path: Path, tenth: int) -> None:
    seq = max(1, old.last_seq * tenth // 10)
    journal = planted(branch_at(old, Point("r", seq=seq), MORE), old, tmp_path / "branch")
    assert search_on(journal, bench) == "budget"
    with EventLog.open_reader(tmp_path / "branch" / "run.sqlite") as log:
        events = [parse_event(stored.payload) for stored in log.events()]
        state = read_state(log)
    assert state.evaluations == 26 == state.ledger.spent.evaluations
    answered = Counter((event.candidate, event.kind) for event in events if isinstance(event, EvaluationSettled))
    assert max(answered.values()) == 1
    assert picture(state)["tree"] == picture(journal.state)["tree"]


def test_a_branch_at_a_proven_node_has_its_measurement_and_a_pin_on_it(old: EventLog, bench: Bench, tmp_path: Path) -> None:
    tree = state_of(bench).tree
    assert tree is not None
    node = [view.id for view in tree.nodes() if view.parent is not None and view.own.best is not None][1]
    branch = branch_at(old, Point("r", node=node), MORE)
    assert branch.state.tree is not None
    assert branch.state.tree.own_best(node) == tree.own_best(node)
    assert branch.state.tree.pins == (node,)
    assert branch.origin.seq < old.last_seq
    assert search_on(planted(branch, old, tmp_path / "branch"), bench) == "budget"


def test_a_branch_at_a_node_that_never_passed_begins_when_it_was_opened(bench: Bench) -> None:
    bench.settings = bench.settings.model_copy(update={"policy": "puct-mean"})  # it tries what puct sees no hope in
    bench.search()
    old = bench.reopen().log
    tree = state_of(bench).tree
    assert tree is not None
    node = next(view.id for view in tree.nodes() if view.own.best is None)
    branch = branch_at(old, Point("r", node=node), MORE)
    assert branch.prefix[-1].type == "arm_opened"
    assert branch.state.tree is not None
    assert len(branch.state.tree) == node + 1


def test_a_branch_at_the_root_keeps_its_incumbent_and_needs_no_pin(old: EventLog) -> None:
    branch = branch_at(old, Point("r", node=0), MORE)
    assert branch.state.incumbent is not None
    assert branch.state.tree is not None
    assert branch.state.tree.pins == ()


def test_limits_changed_later_in_the_prefix_give_way_to_the_branchs_own(bench: Bench, tmp_path: Path) -> None:
    bench.settings = bench.settings.model_copy(update={"budget": BudgetSettings(max_evaluations=6, max_usd=5.0)})
    bench.search()
    journal = bench.reopen()
    from ksearch.store.events import BudgetChanged

    journal.record(BudgetChanged(budget=BudgetSettings(max_evaluations=8)))
    bench.search()
    assert bench.journal is not None
    bench.journal.log.close()
    with EventLog.open_reader(bench.folder / "run.sqlite") as old:
        branch = branch_at(old, Point("r"), MORE)
        planted_journal = planted(branch, old, tmp_path / "branch")
    assert planted_journal.state.settings.budget == BudgetSettings(max_evaluations=26) == branch.state.settings.budget
    planted_journal.log.close()


@pytest.mark.parametrize(
    ("point", "overlay", "hint"),
    [
        (Point("r", seq=100_000), MORE, "events 1 to"),
        (Point("r", seq=0), MORE, "events 1 to"),
        (Point("r", node=999), MORE, "no node 999"),
        (Point("r"), {}, "evaluations was spent"),
        (Point("r"), {**MORE, "objective": "geomean"}, "objective can't change"),
        (Point("r"), {**MORE, "evaluation": {"timed_calls": 7}}, "evaluation"),
        (Point("r"), {**MORE, "policy": "best-of-n"}, "policy best-of-n can't go on"),
        (Point("r"), {**MORE, "nonsense": 1}, "unknown setting nonsense"),
    ],
)
def test_what_cant_be_continued_is_refused(old: EventLog, point: Point, overlay: dict[str, object], hint: str) -> None:
    with pytest.raises(BadInput, match=hint):
        branch_at(old, point, overlay)


def test_planner_policy_and_parallel_may_change(old: EventLog) -> None:
    branch = branch_at(old, Point("r"), {**MORE, "policy": "greedy", "evaluation": {"parallel": 3}})
    assert branch.state.tree is not None
    assert branch.state.tree.policy.name == "greedy"


def test_the_command_branches_a_real_run_and_the_branch_resumes(tmp_path: Path) -> None:
    def ksearch(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ksearch", *arguments, "--runs-dir", str(tmp_path), "--json"]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    first = ksearch("run", "-d", "rmsnorm", "--device", "cpu", "--evaluator", "fake", "--max-evaluations", "5", "--name", "first")
    assert first.returncode == 0, first.stderr
    branched = ksearch("run", "--from", "first#1", "--max-evaluations", "7", "--name", "second")
    assert branched.returncode == 0, branched.stderr
    assert "from        first@" in branched.stderr
    with ksearch_package.load_run(tmp_path / "second") as run:
        record = run.record()
    assert record.branched is not None
    assert record.branched.startswith("first@")
    assert record.pins == (1,)
    resumed = ksearch("resume", "second", "--set", "budget.max_evaluations=8")
    assert resumed.returncode == 0, resumed.stderr
    assert '"evaluations":8' in resumed.stdout.replace(" ", "")
    refused = ksearch("run", "--from", "first", "--device", "cuda", "--name", "third")
    assert refused.returncode == 2
    assert not (tmp_path / "third").exists()
