"""What a question is worth is learnt from what questions brought."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from ksearch.tree.answers import NEAREST, Answers
from ksearch.tree.constants import DEFAULTS
from ksearch.tree.types import ROOT, Measured, Propose, Proposed
from tests.tree.worlds import action, merge, new_tree


def spread(answers: Answers, own: float, honesty: float = 1.0) -> float:
    return answers.spread(own, honesty, DEFAULTS)


def test_before_any_answer_a_constant_says_it() -> None:
    assert spread(Answers(), 0.0) == DEFAULTS.unknown_gain


def test_the_constant_counts_as_one_answer_and_those_far_away_less() -> None:
    answers = Answers()
    answers.add(1.0, 1, [action("a", gain=0.04), action("b", gain=0.04)])
    variance = action("a").gain_sd ** 2
    assert spread(answers, 1.0) ** 2 == pytest.approx((0.09 + 0.04**2 + variance) / 2)
    assert spread(answers, 1.0, honesty=0.0) ** 2 == pytest.approx((0.09 + variance) / 2)
    share = math.exp(-0.5)
    assert spread(answers, 1.3) ** 2 == pytest.approx((0.09 + share * (0.04**2 + variance)) / (1 + share))


def test_merges_and_empty_answers_say_nothing() -> None:
    answers = Answers()
    answers.add(0.0, 0, [merge(action("a"), action("b"))])
    answers.add(0.0, 0, [])
    assert not answers.brought


def test_only_the_nearest_count_whatever_the_order() -> None:
    forth, back = Answers(), Answers()
    many = [(place / 100, place, [action("a", gain=place / 100)]) for place in range(4 * NEAREST)]
    for row in many:
        forth.add(*row)
    for row in reversed(many):
        back.add(*row)
    assert forth.brought == back.brought
    assert spread(forth, 0.0) < spread(forth, 0.16) < spread(forth, 0.31)


def asked_before_an_idea_is_tried() -> int:
    """Plans that are asked for ideas after a round of eight, each better than all its ideas claim to be over another."""
    logged = new_tree()
    logged.propose(*(action(f"first{place}", gain=2.0) for place in range(8)), node=ROOT)
    for place, ticket in enumerate(logged.ask(8)):
        logged.tell(ticket, Measured(2.0 + 0.02 * place))
    asked = 0
    while isinstance(ticket := logged.ask()[0], Propose):
        asked += 1
        ideas = (replace(action(f"later{ticket.node}-{place}", gain=0.04, p=0.9), gain_sd=0.03) for place in range(8))
        logged.tell(ticket, Proposed(tuple(ideas)))
    return asked


def test_a_planner_whose_answers_claim_little_is_not_asked_everywhere_first(monkeypatch: pytest.MonkeyPatch) -> None:
    learning = asked_before_an_idea_is_tried()
    monkeypatch.setattr(Answers, "add", lambda *_: None)
    assert 1 <= learning < 5
    assert asked_before_an_idea_is_tried() == 8
