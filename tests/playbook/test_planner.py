from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ksearch.coder.playbook.mechanism import Family
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition
from ksearch.tree.types import NodeId, Plan, PlanKey, plan_key
from ksearch.worldmodel.beliefs import Beliefs
from ksearch.worldmodel.catalogue import Catalogue, Technique
from ksearch.worldmodel.playbook import PlaybookPlanner
from ksearch.worldmodel.types import Belief, Evidence, ProposeRequest


def technique(name: str, mean: float, p: float = 0.9, parameter: str = "", **needs: tuple[str, ...]) -> Technique:
    return Technique(name, "t", {name: parameter or "on"}, "", "", mean, 0.2, p, 1, needs=needs, parameter=parameter)


SPACE = Catalogue("test", {"a": "off", "b": "off", "c": "off"}, (
    technique("a", 0.2), technique("b", 0.5), technique("c", 0.9, a=("on",)),
))


def ask(plan: Plan = (), count: int = 9, known: set[PlanKey] | None = None, beliefs: tuple[Belief, ...] = ()) -> list[str]:
    request = ProposeRequest(NodeId(0), plan, count, known or set(), beliefs, may_merge=False)
    return [proposal.action.technique for proposal in PlaybookPlanner(SPACE).propose(request)]


def test_best_first_and_only_what_is_legal() -> None:
    assert ask() == ["b", "a"]
    assert ask(plan=(SPACE.techniques[0].action(),)) == ["c", "b"]
    assert ask(count=1) == ["b"]
    assert ask(count=0) == []


def test_a_known_plan_is_not_proposed_whatever_its_order() -> None:
    a, b = SPACE.techniques[0].action(), SPACE.techniques[1].action()
    assert ask(known={plan_key((b,))}) == ["a"]
    assert ask(plan=(a,), known={plan_key((b, a))}) == ["c"]
    assert ask(known={plan_key((a,)), plan_key((b,))}) == []


def test_measurements_move_claims_and_order() -> None:
    beliefs = Beliefs.of(SPACE).learn_all(
        Evidence(NodeId(1), SPACE.techniques[1].action(), passed=True, gain=-0.5) for _ in range(3)
    )
    assert ask(beliefs=beliefs.all()) == ["a", "b"]
    request = ProposeRequest(NodeId(0), (), 9, (), beliefs.all(), may_merge=False)
    claims = {proposal.action.technique: proposal.action for proposal in PlaybookPlanner(SPACE).propose(request)}
    assert claims["b"].gain_mean == (0.5 - 1.5) / 4
    assert claims["a"].gain_mean == 0.2
    assert claims["a"].p_success == 0.9


def test_failures_lower_the_claimed_success() -> None:
    failing = Beliefs.of(SPACE).learn_all(
        Evidence(NodeId(1), SPACE.techniques[1].action(), passed=False, gain=None) for _ in range(6)
    )
    assert ask(beliefs=failing.all()) == ["a", "b"]


def test_a_choice_already_made_on_the_path_is_not_taken_again() -> None:
    toggling = replace(SPACE, techniques=(technique("a", 0.2, parameter="x"), technique("a", 0.3, parameter="y")))
    x, y = (choice.action() for choice in toggling.techniques)
    request = ProposeRequest(NodeId(0), (x, y), 9, (), may_merge=False)
    assert PlaybookPlanner(toggling).propose(request) == ()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_walk_of_proposals_never_repeats_a_plan(dsa: tuple[Family, Definition], data: st.DataObject) -> None:
    family, definition = dsa
    catalogue = family.catalogue(definition, Target("cpu", None, ("python", "cpp")))
    planner = PlaybookPlanner(catalogue)
    known: set[PlanKey] = {plan_key(())}
    plan: Plan = ()
    for _ in range(data.draw(st.integers(1, 12))):
        proposals = planner.propose(ProposeRequest(NodeId(0), plan, 3, known, may_merge=False))
        if not proposals:
            break
        for proposal in proposals:
            child = (*plan, proposal.action)
            catalogue.config(child)  # raises IllegalPlan for an illegal one
            assert plan_key(child) not in known
        known |= {plan_key((*plan, proposal.action)) for proposal in proposals}
        plan = (*plan, data.draw(st.sampled_from(proposals)).action)
