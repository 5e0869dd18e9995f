"""The search as seen from one node, taken from a run's state: an immutable copy for a thread that plans or writes."""

from __future__ import annotations

from ksearch.briefing.verdicts import REMARK_CHARACTERS, remark
from ksearch.store.fold import RunState
from ksearch.tree import Tree
from ksearch.tree.types import Action, NodeId
from ksearch.tree.views import ArmOutcome, NodeView
from ksearch.worldmodel.briefing import knowledge_text
from ksearch.worldmodel.claims import claims_of, score
from ksearch.worldmodel.types import SearchView, Stretch

MOST_ELSEWHERE = 12


def search_view(state: RunState, node: NodeId, material: str = "", together: int = 1) -> SearchView:
    """With `--no-world-model` the view holds the tree around the node and nothing of what the search believes."""
    tree, believing = state.tree, state.settings.world_model
    assert tree is not None
    nodes = {view.id: view for view in tree.nodes()}
    here = nodes[node]
    arms, siblings = tree.arms(node), tree.siblings(node)
    kernel = state.best_candidate_of(node)
    near = {node, *(arm.node for arm in (*arms, *siblings)), *_ancestors(nodes, node)}
    return SearchView(
        node=node,
        path=_path(nodes, node),
        best_path=_path(nodes, tree.best_node().id),
        arms=arms,
        siblings=siblings,
        elsewhere=_elsewhere(tree, nodes, near) if believing else (),
        queued=tuple(proposal.action for proposal in here.queued),
        inherited=_inherited(nodes, here),
        refused=here.refused,
        reward=here.own.best,
        best_reward=tree.incumbent_reward,
        root_reward=tree.own_best(NodeId(0)) or 0.0,
        honesty=tree.honesty,
        document=state.document,
        beliefs=state.beliefs.all() if believing else (),
        scores=score(claims_of(tree)) if believing else None,
        remarks=_remarks(state, (*arms, *siblings)),
        material=material,
        refused_edits=state.refused_edits,
        tunables=() if kernel is None else kernel.written.tunables,
        may_merge=state.settings.merge,
        evaluations=state.evaluations,
        most_evaluations=state.settings.budget.max_evaluations,
        together=together,
        knowledge=knowledge_text(state.knowledge) if believing else "",
    )


def _inherited(nodes: dict[NodeId, NodeView], here: NodeView) -> tuple[Action, ...]:
    if here.parent is None or here.children or here.queued or here.refused or here.fruitless:
        return ()
    return tuple(proposal.action for proposal in nodes[here.parent].queued)


def _gain(nodes: dict[NodeId, NodeView], view: NodeView) -> float | None:
    above = None if view.parent is None else nodes[view.parent].own.best
    return None if view.own.best is None or above is None else view.own.best - above


def _ancestors(nodes: dict[NodeId, NodeView], node: NodeId) -> list[NodeId]:
    found, at = [], nodes[node].parent
    while at is not None:
        found.append(at)
        at = nodes[at].parent
    return found


def _path(nodes: dict[NodeId, NodeView], node: NodeId) -> tuple[Stretch, ...]:
    steps = [nodes[id] for id in reversed([node, *_ancestors(nodes, node)])]
    return tuple(Stretch(view.id, view.action, _gain(nodes, view)) for view in steps if view.action is not None)


def _elsewhere(tree: Tree, nodes: dict[NodeId, NodeView], near: set[NodeId]) -> tuple[ArmOutcome, ...]:
    """Outcomes of plans farther away, the fastest first: where gains worth merging are, and what failed."""
    parents = [view.id for view in nodes.values() if view.children]
    outcomes = [arm for parent in parents for arm in tree.arms(parent) if arm.node not in near and arm.attempts]
    outcomes.sort(key=lambda arm: (-(nodes[arm.node].own.best or float("-inf")), arm.node))
    return tuple(outcomes[:MOST_ELSEWHERE])


def _remarks(state: RunState, arms: tuple[ArmOutcome, ...]) -> dict[NodeId, str]:
    found = {arm.node: _remark(state, arm) for arm in arms}
    return {node: text for node, text in found.items() if text is not None}


def _remark(state: RunState, arm: ArmOutcome) -> str | None:
    """Why a plan has not passed, in the judge's words; of one that has, what its code did where that is not its step."""
    if arm.gain is not None:
        best = state.best_candidate_of(arm.node)
        if best is None or best.written.followed:
            return None
        return f"not the step as meant; the code did: {' '.join(best.written.did.split())[:REMARK_CHARACTERS]}"
    candidates = state.candidates_of(arm.node)
    answers = list(candidates[-1].verdicts.values()) if candidates else []
    said = remark(answers[-1].message, answers[-1].stage) if answers else None
    return None if said is None else f"judge: {said}"
