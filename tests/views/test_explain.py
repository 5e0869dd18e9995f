"""`ksearch explain`: the scores are those of the moment, and the words follow them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from ksearch.errors import BadInput
from ksearch.records.reading import StoredRun
from ksearch.report.explain import print_story, story_lines
from ksearch.report.story import Story, story_of
from ksearch.tree.types import NodeId
from tests.views.conftest import printable


def test_every_choice_took_the_best_legal_arm_of_its_moment(run: StoredRun) -> None:
    """The search under test is PUCT with one ticket in flight: what explain shows must be what decided."""
    record = run.record()
    seen = 0
    for node in record.nodes[1:]:
        for decision in story_of(run, node.id).decisions:
            if decision.ticket.kind != "write":
                continue
            for choice in decision.choices:
                legal = [arm for arm in choice.arms if arm.legal]
                assert max(legal, key=lambda arm: arm.total).node == choice.chosen
                seen += 1
            assert f"score {decision.choices[-1].arms[0].total:.3f}" in decision.ticket.why
    assert seen > 10


def test_choices_lead_from_the_root_to_the_node(run: StoredRun) -> None:
    record = run.record()
    deepest = max(record.nodes, key=lambda node: node.depth)
    for decision in story_of(run, deepest.id).decisions:
        assert decision.choices[0].at == 0
        assert decision.choices[-1].chosen == deepest.id
        assert all(above.chosen == below.at for above, below in pairwise(decision.choices))


def test_scores_are_those_of_the_moment_and_not_of_now(run: StoredRun) -> None:
    node = run.record().nodes[1]
    story = story_of(run, node.id)
    first = story.decisions[0]
    then = next(arm for arm in first.choices[0].arms if arm.chosen)
    tree = run.state(first.ticket.issued_seq - 1).tree
    assert tree is not None
    assert then.total == tree.explain(NodeId(node.id)).total
    assert then.N == 0 < node.N


def test_the_words_tell_claim_outcome_and_cost(run: StoredRun) -> None:
    record = run.record()
    assert record.incumbent is not None
    told = record.nodes[record.incumbent.node]
    text = "\n".join(story_lines(story_of(run, told.id)))
    assert told.action is not None
    for fact in (told.action.key, "is the incumbent", "claim ", f"{told.gain:+.3f} nats", "diff: +", "passed", "on the device"):
        assert fact in text


def test_a_failure_shows_its_evidence(run: StoredRun) -> None:
    record = run.record()
    failed = next(candidate for candidate in record.candidates if candidate.outcome == "failed")
    text = "\n".join(story_lines(story_of(run, failed.node)))
    assert "evaluate: failed" in text
    assert failed.message is not None
    assert failed.message in text


def test_json_survives(folder: Path, run: StoredRun, capsys: pytest.CaptureFixture[str]) -> None:
    print_story(str(folder), None, 1, as_json=True)
    assert Story.model_validate_json(capsys.readouterr().out) == story_of(run, 1)


def test_hostile_text_is_told_inertly(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_story(str(hostile), None, 1, as_json=False)
    assert printable(capsys.readouterr().out)
    print_story(str(hostile), None, 1, as_json=True)
    assert capsys.readouterr().out.isascii()


def test_an_unknown_node_is_refused(folder: Path) -> None:
    with pytest.raises(BadInput, match="has no node 999"):
        print_story(str(folder), None, 999, as_json=False)
