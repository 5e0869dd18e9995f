"""Records of a real search with the packaged fake judge: they agree with the fold, at every moment of the log."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

import ksearch
from ksearch.errors import BadInput
from ksearch.records.model import RunRecord
from ksearch.records.reading import StoredRun, node_of
from ksearch.report.export import import_run
from tests.search.conftest import Bench, bench  # noqa: F401


@pytest.fixture
def folder(bench: Bench) -> Path:  # noqa: F811
    bench.folder.mkdir()
    bench.search()
    assert bench.journal is not None
    bench.journal.log.close()
    return bench.folder


def test_a_record_agrees_with_the_tree(folder: Path) -> None:
    with ksearch.load_run(folder) as run:
        record, tree = run.record(), run.state().tree
        assert tree is not None
        assert [node.id for node in record.nodes] == list(range(len(tree)))
        for node in record.nodes:
            view = tree.node(node.id)  # type: ignore[arg-type]
            assert (node.N, node.Q, node.best, node.status) == (view.subtree.visits, view.value, view.subtree.best, view.status.value)


def test_it_survives_json(folder: Path) -> None:
    with ksearch.load_run(folder) as run:
        record = run.record()
    assert RunRecord.model_validate_json(record.model_dump_json()) == record


def test_every_moment_can_be_seen_again_and_nothing_later_shows(folder: Path) -> None:
    with ksearch.load_run(folder) as run, ksearch.load_run(folder) as growing:
        for seq in range(1, run.last_seq + 1):
            forward = growing.record(seq)
            assert forward.seq == seq
            assert all(node.seq <= seq for node in forward.nodes)
            assert all(candidate.seq <= seq for candidate in forward.candidates)
        assert run.record(run.last_seq // 2) == growing.record(run.last_seq // 2)
        assert run.record() == growing.record()


def test_best_never_falls_and_evaluations_count_up(folder: Path) -> None:
    with ksearch.load_run(folder) as run:
        record = run.record()
    rows = record.progress
    assert [row.evaluations for row in rows] == sorted(row.evaluations for row in rows)
    assert all(before.best <= after.best for before, after in itertools.pairwise(rows))
    assert rows[-1].evaluations == record.evaluations


def test_a_diff_shows_what_the_step_changed(folder: Path) -> None:
    with ksearch.load_run(folder) as run:
        record = run.record()
        child = next(candidate for candidate in record.candidates if candidate.node != 0 and candidate.outcome == "measured")
        parent = run.parent_of(record, child)
        assert parent is not None
        diff = run.diff(parent, child)
    assert diff.startswith(f"--- #{parent.node}/kernel.py\n+++ #{child.node}/kernel.py\n")


def test_an_unknown_node_is_refused_by_name(folder: Path) -> None:
    with ksearch.load_run(folder) as run, pytest.raises(BadInput, match="has no node 9999"):
        node_of(run.record(), 9999)


def test_importing_ksearch_loads_nothing() -> None:
    code = "import sys, ksearch; print([m for m in sys.modules if m.startswith(('pydantic', 'torch', 'ksearch.'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_is_opened_by_name_too(folder: Path) -> None:
    with StoredRun.open(folder.name, folder.parent) as run:
        assert run.record().run == "r"


def test_an_old_run_is_told_by_the_policy_that_it_had(tmp_path: Path) -> None:
    """Its tickets say 'score ... = value ... + exploration ...': the words of what is puct-mean today."""
    recorded = Path(__file__).parents[2] / "runs" / "recorded" / "dsa_topk-h200" / "run.jsonl"
    with ksearch.load_run(import_run(recorded, tmp_path)) as run:
        tree = run.state().tree
    assert tree is not None
    assert tree.policy.name == "puct-mean"
