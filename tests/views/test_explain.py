"""`ksearch explain`: the scores are those of the moment, and the words follow them."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from ksearch.errors import BadInput
from ksearch.records.reading import StoredRun
from ksearch.report.explain import print_story, story_lines
from ksearch.report.export import import_run
from ksearch.report.story import Story, story_of
from ksearch.settings import BudgetSettings, Settings
from ksearch.store.events import NodePinned
from ksearch.tree.types import ROOT
from tests.search.conftest import Bench
from tests.views.conftest import printable, searched


@pytest.fixture(scope="module", params=["puct", "puct-mean"])
def scored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoredRun]:
    """Searches by each policy that compares scores."""
    folder = searched(tmp_path_factory.mktemp("scored"), 20, policy=request.param)
    with StoredRun.open(str(folder)) as run:
        yield run


def test_every_choice_took_the_best_legal_option_of_its_moment(scored: StoredRun) -> None:
    """What explain shows must be what decided, for every ticket of a search."""
    record, seen = scored.record(), 0
    for node in record.nodes:
        for decision in story_of(scored, node.id).decisions:
            assert decision.agrees
            for choice in decision.choices:
                best = max((option for option in choice.options if option.legal), key=lambda option: option.total)
                chosen = next(option for option in choice.options if option.chosen)
                assert chosen.total == best.total
                seen += 1
    assert seen > 40


def test_the_score_of_the_last_choice_is_the_one_in_the_tickets_own_words(scored: StoredRun) -> None:
    seen = 0
    for node in scored.record().nodes:
        for decision in story_of(scored, node.id).decisions:
            why = re.match(r"score (\d+\.\d+)", decision.ticket.why)
            if why is not None:
                chosen = next(option for option in decision.choices[-1].options if option.chosen)
                assert f"{chosen.total:.3f}" == why[1]
                seen += 1
    assert seen > 3


def test_choices_lead_from_the_root_to_the_node(scored: StoredRun) -> None:
    deepest = max(scored.record().nodes, key=lambda node: node.depth)
    for decision in story_of(scored, deepest.id).decisions:
        assert decision.choices[0].at == 0
        assert all(above.chosen == below.at for above, below in pairwise(decision.choices))
        assert deepest.id in (decision.choices[-1].chosen, decision.choices[-1].at)


def test_scores_are_those_of_the_moment_and_not_of_now(run: StoredRun) -> None:
    node = run.record().nodes[1]
    first = story_of(run, node.id).decisions[0]
    opened = next(option for option in first.choices[0].options if option.chosen)
    assert opened.move == "open"
    tree = run.state(node.seq - 1).tree
    assert tree is not None
    then = next(option for option in tree.options(ROOT) if option.move == "open")
    assert opened.total == then.total
    assert node.N > 0


def test_a_pin_is_where_the_way_begins(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "run", Settings(definition="toy", budget=BudgetSettings(max_evaluations=6)))
    bench.search()
    assert bench.journal is not None
    tree = bench.journal.state.tree
    assert tree is not None
    pinned = tree.children(ROOT)[-1]
    bench.journal.record(NodePinned(node=pinned))
    tickets = tree.ask(1, random.Random(0))
    bench.journal.record_changes(tickets.changes)
    bench.journal.log.close()
    with StoredRun.open(str(tmp_path / "run")) as run:
        story = story_of(run, tickets.tickets[0].node)
        assert story.decisions[-1].pinned == pinned
        assert story.decisions[-1].choices[0].at == pinned
        assert f"node {pinned} was pinned" in "\n".join(story_lines(story))


def test_what_another_version_chose_is_not_explained_by_this_ones_scores(tmp_path: Path) -> None:
    recorded = Path(__file__).parents[2] / "runs" / "recorded" / "dsa_topk-h200" / "run.jsonl"
    with StoredRun.open(import_run(recorded, tmp_path)) as run:
        stories = [story_of(run, node) for node in range(1, 12)]
    foreign = [(story, decision) for story in stories for decision in story.decisions if not decision.agrees]
    for story, decision in foreign:
        text = "\n".join(story_lines(story))
        assert "the policy of this version would have gone another way" in text
        assert decision.ticket.why in text


def test_the_words_tell_claim_outcome_and_cost(run: StoredRun) -> None:
    record = run.record()
    assert record.incumbent is not None
    told = record.nodes[record.incumbent.node]
    text = "\n".join(story_lines(story_of(run, told.id)))
    assert told.action is not None
    for fact in (told.action.key, "is the incumbent", "claim ", f"{told.gain:+.3f} nats", "diff: +", "passed", "on the device"):
        assert fact in text


def test_a_failure_shows_its_evidence(tmp_path: Path) -> None:
    with StoredRun.open(str(searched(tmp_path / "run", 20, policy="puct-mean"))) as run:
        failed = next(candidate for candidate in run.record().candidates if candidate.outcome == "failed")
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


def test_an_error_that_names_what_a_file_says_is_inert_too(hostile: Path) -> None:
    command = [sys.executable, "-m", "ksearch", "explain", str(hostile), "99"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "has no node 99" in done.stderr
    assert printable(done.stderr)
