"""Knowledge of several runs: pooled as if learnt in one, and never counted twice."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksearch.tree.types import Action, NodeId
from ksearch.worldmodel.beliefs import Beliefs, gain
from ksearch.worldmodel.memory import Class, Contribution, Tally, latest, priors, recall, tallies_of
from ksearch.worldmodel.types import Evidence

HERE = Class("dsa_paged", "sm_90", "memory")


def evidence(technique: str, gained: float | None, *, passed: bool = True, followed: bool = True) -> Evidence:
    action = Action(
        technique=technique, target="kernel", parameter="", intent="do it", gain_mean=0.1, gain_sd=0.1, p_success=0.5,
        difficulty=1, rationale="",
    )  # fmt: skip
    return Evidence(NodeId(1), action, passed, gained if passed else None, None if passed else "compile", followed)


EVIDENCE = st.builds(
    evidence, st.sampled_from(["tile", "fuse", "split"]), st.none() | st.floats(-1.0, 1.0), passed=st.booleans(), followed=st.booleans()
)


def run(
    name: str, items: list[Evidence], *, seq: int = 10, about: Class = HERE, definition: str = "d", lessons: tuple[str, ...] = ()
) -> Contribution:
    return Contribution(f"id-{name}", name, seq, definition, about, "2", tallies_of(items), lessons)


@settings(deadline=None)
@given(st.lists(st.lists(EVIDENCE, max_size=8), min_size=1, max_size=5), st.randoms())
def test_pooled_runs_are_one_run_that_saw_everything(runs: list[list[Evidence]], chance: random.Random) -> None:
    contributions = [run(str(number), items) for number, items in enumerate(runs)]
    chance.shuffle(contributions)
    known = {one.tally.technique: one.tally for one in recall(contributions, HERE, "d").techniques}
    learnt = Beliefs().learn_all(item for items in runs for item in items)
    assert known.keys() == learnt.by_technique.keys()
    for name, belief in learnt.by_technique.items():
        tally = known[name]
        assert (tally.gains, tally.successes, tally.failures) == (belief.gains, belief.successes, belief.failures)
        assert tally.gain_sum == pytest.approx(belief.gain_sum, abs=1e-9)
        assert tally.gain_sumsq == pytest.approx(belief.gain_sumsq, abs=1e-9)
    for prior in priors(recall(contributions, HERE, "d")):
        expected = gain(learnt.belief(prior.technique))
        assert prior.prior_mean == pytest.approx(expected.mean)
        assert prior.prior_sd == pytest.approx(expected.sd)
        assert (prior.gains, prior.successes, prior.failures) == (0, 0, 0), "a prior, not this search's own evidence"


@settings(deadline=None)
@given(st.lists(EVIDENCE, min_size=1, max_size=10), st.integers(1, 4), st.randoms())
def test_a_run_read_again_counts_once(items: list[Evidence], times: int, chance: random.Random) -> None:
    """Also read while it went on, and under another name."""
    whole = run("a", items, seq=100)
    partly = run("a", items[: len(items) // 2], seq=50)
    renamed = Contribution(whole.identity, "copy", whole.seq, whole.definition, whole.about, whole.judge, whole.tallies)
    read = [whole] * times + [partly] * times + [renamed]
    chance.shuffle(read)
    tallies = tuple(one.tally for one in recall(read, HERE, "d").techniques)
    assert sorted(tallies, key=lambda tally: tally.technique) == list(whole.tallies)
    assert len(latest(read)) == 1


@settings(deadline=None)
@given(st.lists(EVIDENCE, min_size=1, max_size=6), st.integers(0, 200), st.randoms())
def test_what_was_forgotten_stays_so_whatever_comes_later(items: list[Evidence], later: int, chance: random.Random) -> None:
    gone = Contribution("id-a", "a", 100, "d", HERE, "2", forgotten=True)
    read = [run("a", items, seq=100), gone, run("a", items, seq=later)]
    chance.shuffle(read)
    assert not recall(read, HERE, "d")
    again = Contribution("id-a", "a", later, "d", HERE, "2", tallies_of(items), generation=1)
    assert latest([*read, again])["id-a"] == again


def test_only_the_same_class_gives_techniques_and_only_near_runs_lessons() -> None:
    items = [evidence("tile", 0.5)]
    elsewhere = run("cpu", items, about=Class("dsa_paged", "cpu", "compute"), lessons=("on a cpu",))
    other = run("other", items, about=Class("gemm", "sm_90", "compute"), lessons=("products",))
    bound = run("bound", items, about=Class("rmsnorm", "sm_90", "memory"), lessons=("vector loads",))
    cousin = run("cousin", items, definition="e", lessons=("a cousin's",))
    same = run("same", items, lessons=("of the same",))
    known = recall([elsewhere, other, bound, cousin, same], HERE, "d")
    assert [(one.tally, one.runs) for one in known.techniques] == [(Tally("tile", 2, 1.0, 0.5, 2, 0), ("cousin", "same"))]
    assert [lesson.text for lesson in known.lessons] == ["of the same", "a cousin's", "vector loads", "on a cpu"]
    assert [lesson.run for lesson in known.lessons] == ["same", "cousin", "bound", "cpu"]
    assert recall([same], HERE, "d", unless="id-same") == recall([], HERE, "d"), "a run is not told of itself"
