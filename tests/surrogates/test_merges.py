"""A candidate that takes several steps at once teaches and is forecast by its parts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ksearch.surrogates.prior import claimed_gain, claimed_p
from ksearch.surrogates.prompts import candidate_text, steps_before
from ksearch.surrogates.statistical import Statistical
from ksearch.surrogates.trust import spearman
from ksearch.surrogates.types import Compiled, Sample
from tests.surrogates.test_forecasters import GAINS, asked, plans, sample


def merge(number: int, names: tuple[str, ...]) -> Sample:
    """Several steps at once from the plain kernel."""
    return replace(sample(number, names), parent_reward=0.0, taken=len(names), passed=True, reward=sum(map(GAINS.__getitem__, names)))


def test_claims_of_its_parts_add_up_and_all_of_them_must_work() -> None:
    two, one = merge(0, ("fuse", "cache")), sample(1, ("cache",))
    assert claimed_gain(two) == pytest.approx(2.0 * claimed_gain(one))
    assert claimed_p(two) == pytest.approx(claimed_p(one) ** 2)
    assert two.last_keys == two.plan
    assert sample(2, ("fuse", "cache")).last_keys == one.plan


def test_single_steps_teach_what_merges_are_worth() -> None:
    forecaster = Statistical()
    for number, name in enumerate([*GAINS, *GAINS, *GAINS]):
        forecaster.learn(replace(sample(number, (name,)), passed=True, reward=GAINS[name]))
    pairs = (("fuse", "cache"), ("fuse", "shuffle"), ("block", "shuffle"), ("vector", "cache"))
    merges = [merge(100 + number, names) for number, names in enumerate(pairs)]
    said = forecaster.forecast_many([asked(one) for one in merges])
    assert spearman([-one.d50 for one in said if one is not None], [one.reward or 0.0 for one in merges]) > 0.9


def test_a_question_names_every_part_and_the_parent_s_compile_report() -> None:
    one = merge(0, ("fuse", "cache"))
    assert "fuse|code| and cache|code|" in candidate_text(0, one)
    assert steps_before(one) == ()


def test_failures_are_told_by_reports_only_where_there_are_reports() -> None:
    """Those of candidates known before a compile must not be read from reports that judged ones had."""
    forecaster = Statistical()
    for number, one in enumerate(plans(60)):
        passed = number % 3 > 0
        report = Compiled(spill_bytes=0 if passed else 4000)
        forecaster.learn(replace(one, passed=passed, reward=0.1 if passed else None, compiled=report))
    fresh = asked(plans(1, seed=5)[0])
    reports = (None, Compiled(spill_bytes=4000), Compiled(spill_bytes=0))
    blind, spilling, clean = forecaster.forecast_many([replace(fresh, compiled=report) for report in reports])
    assert blind is not None
    assert spilling is not None
    assert clean is not None
    assert spilling.p_passes < blind.p_passes < clean.p_passes
