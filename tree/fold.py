"""The fold: how one change alters the state. Nothing else does, so a stored list of changes rebuilds a tree exactly.

A change is checked in full before anything is altered: one that can't follow raises `IllegalChange` and leaves no trace.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable

from ksearch.tree.credit import Credit
from ksearch.tree.errors import IllegalChange
from ksearch.tree.node import Node, Refusal, key_digest, queue_order, step_digest
from ksearch.tree.refutation import reinstate, subtree, take_back
from ksearch.tree.state import State
from ksearch.tree.statistics import UNIT, credible, to_units
from ksearch.tree.types import (
    Action,
    ArmOpened,
    Banned,
    Cancelled,
    Change,
    Failed,
    Foreseen,
    Issued,
    Measured,
    NodeId,
    Outcome,
    Pinned,
    Propose,
    Proposed,
    Refuted,
    Settled,
    Skipped,
    Ticket,
    TicketId,
    Unbanned,
    Unpinned,
    Write,
)

BANNED = "banned by the user"
"""Why a refused action was refused: lifting the ban offers it again."""


def apply(state: State, change: Change) -> None:
    match change:
        case ArmOpened():
            _open_arm(state, change)
        case Issued(ticket=ticket):
            _issue(state, ticket)
        case Settled(ticket=id, outcome=outcome):
            _settle(state, id, outcome)
        case Refuted():
            _refute(state, change)
        case Foreseen():
            _foresee(state, change)
        case Pinned() | Unpinned() | Banned() | Unbanned():
            _guide(state, change)


def _open_arm(state: State, change: ArmOpened) -> None:
    parent = state.node(change.parent)
    if change.node != len(state.nodes):
        raise IllegalChange(f"the next node is {len(state.nodes)}, not {change.node}: the log has a gap or a second writer")
    if change.action not in parent.queue:
        raise IllegalChange(f"{change.action.key!r} is not queued at node {parent.id}")
    action = parent.queue.pop(parent.queue.index(change.action))
    step = step_digest(action)
    del state.queued[parent.digest ^ step]
    state.kept.open(parent, step)
    state.credits.setdefault(step, Credit())
    state.outlook.note(action)
    node = Node(change.node, parent, action, step)
    state.nodes.append(node)
    state.standing[node.digest] = node
    if action.leads_to is not None:
        state.reached[key_digest(action.leads_to)] = node
    parent.children.append(node)
    parent.open_arms += 1
    _line_up(state, node)
    _refresh(state, parent)


def _foresee(state: State, change: Foreseen) -> None:
    node = state.node(change.node)
    if not (credible(change.reward) and credible(change.sigma) and change.sigma > 0.0):
        raise IllegalChange(f"{change.reward} ± {change.sigma} nats can't be a forecast")
    node.foreseen = ((to_units(change.reward) - state.root_units) * UNIT, change.sigma)


def _issue(state: State, ticket: Ticket) -> None:
    node = state.node(ticket.node)
    state.check(ticket, node)
    state.tickets[ticket.ticket] = ticket
    state.next_ticket = TicketId(ticket.ticket + 1)
    if isinstance(ticket, Write):
        node.writing = ticket.ticket
        _fly(state, node, 1)
        _back_up(node, in_flight=1)
    else:
        node.proposing = ticket.ticket
        state.asking[ticket.ticket] = state.root.visits
    _refresh(state, node)


def _settle(state: State, id: TicketId, outcome: Outcome) -> None:
    ticket = state.tickets.get(id)
    if ticket is None:
        raise IllegalChange(f"ticket {id} is not in flight: settled before, or never issued")
    _check_outcome(ticket, outcome)
    del state.tickets[id]
    node = state.node(ticket.node)
    if isinstance(ticket, Propose):
        node.proposing = None
        knowing = state.asking.pop(id)
        if isinstance(outcome, Proposed):
            if node.own is not None:
                state.answers.add(node.own, node.id, filter(_makes_sense, outcome.actions))
            _queue(state, node, outcome.actions, news=state.merges and knowing != node.asked_knowing)
            node.asked_knowing = knowing
    else:
        node.writing = None
        _fly(state, node, -1)
        _settle_write(state, node, outcome)
    _refresh(state, node)


def _fly(state: State, node: Node, attempts: int) -> None:
    assert node.action is not None, "the root is never written for"
    _credit(state, node).flying += attempts
    state.outlook.fly(node.action, attempts)


def _check_outcome(ticket: Ticket, outcome: Outcome) -> None:
    fitting = isinstance(outcome, Cancelled) or isinstance(outcome, Proposed) == isinstance(ticket, Propose)
    if not fitting:
        raise IllegalChange(f"ticket {ticket.ticket} is a {type(ticket).__name__}; it can't be settled with {outcome!r}")
    if isinstance(outcome, Measured) and not credible(outcome.reward):
        raise IllegalChange(f"ticket {ticket.ticket}: {outcome.reward} nats can't have been measured; tell Failed instead")


def _settle_write(state: State, node: Node, outcome: Outcome) -> None:
    state.outlook.forget()
    match outcome:
        case Measured(reward=reward):
            _prove(state, node, reward)
        case Failed(stage=stage):
            # Its repairs are further attempts at the same idea, not further ideas that failed.
            if node.own_failed == 0:
                _fail(state, node)
            node.own_failed += 1
            node.failed_stage = stage
            _back_up(node, in_flight=-1, visits=1, failed=1)
        case Skipped():
            node.own_skipped += 1
            _back_up(node, in_flight=-1, skipped=1)
        case _:
            _back_up(node, in_flight=-1)


def _prove(state: State, node: Node, reward: float) -> None:
    units = to_units(reward) - state.root_units
    relative = units * UNIT
    node.own, node.own_reward = relative, reward
    at: Node | None = node
    while at is not None:
        at.visits += 1
        at.in_flight -= 1
        at.total_units += units
        if at.best is None or relative > at.best:
            at.best = relative
        if at.best_reward is None or reward > at.best_reward:
            at.best_reward = reward
        at = at.parent
    state.scale.add(relative)
    if node.on_offer:
        state.archive.add(node)
    if node.children or node.queue:
        for restored in reversed(reinstate(state, node)):
            _refresh(state, restored)
    parent = node.parent
    assert parent is not None, "the root is never written for"
    base = node.base.own_reward
    assert base is not None, "the base is proven"
    gained = to_units(reward) - to_units(base)
    _learn(state, node, gained)


def _learn(state: State, node: Node, gained: int) -> None:
    """What a proven plan tells of its last step. A merge's claim was mostly measured, so it says nothing of the planner's honesty."""
    assert node.action is not None, "the root is never written for"
    credit = _credit(state, node)
    credit.add(gained)
    if node.action.parts:
        state.outlook.prove(node, gained)
        return
    state.honesty.add(node.gain, gained)
    state.kin.setdefault((node.action.technique, node.action.target), Credit()).add(gained)


def _fail(state: State, node: Node) -> None:
    _credit(state, node).failed += 1
    assert node.action is not None, "the root is never written for"
    if node.action.parts:
        state.outlook.fail(node)


def _refute(state: State, change: Refuted) -> None:
    nodes = [state.node(id) for id in sorted(change.nodes, reverse=True)]
    _expect(bool(nodes) and len(set(change.nodes)) == len(nodes), "a refutation names each of its plans once")
    for node in nodes:
        _expect(node.proven and node.parent is not None, f"node {node.id} is the root or has not passed: there is nothing to refute")
    state.outlook.forget()
    touched = subtree(nodes)
    take_back(state, nodes, touched, change.stage)
    for node in nodes:
        if node.own_failed == 1:
            _fail(state, node)
    for node in reversed(touched):
        _refresh(state, node)


def _credit(state: State, node: Node) -> Credit:
    """Every step that was opened has one."""
    return state.credits[node.step]


def _back_up(node: Node, *, in_flight: int, visits: int = 0, failed: int = 0, skipped: int = 0) -> None:
    at: Node | None = node
    while at is not None:
        at.in_flight += in_flight
        at.visits += visits
        at.failed += failed
        at.skipped += skipped
        at = at.parent


def _queue(state: State, node: Node, actions: tuple[Action, ...], *, news: bool) -> None:
    """Nothing new is fruitless, but for a planner that was asked whether the latest results are worth a merge."""
    node.fruitless = 0 if _offer(state, node, actions) else node.fruitless + (not news)


def _offer(state: State, node: Node, actions: Iterable[Action]) -> bool:
    """Queue the actions that are new and allowed; whether there was one."""
    accepted, taken = False, node.taken()
    for action in actions:
        state.merges = state.merges or bool(action.parts)
        step = step_digest(action)
        refusal = _refusal(state, node, action, step, taken)
        if refusal is not None:
            node.refusals[action.key] = refusal
            continue
        insort(node.queue, action, key=queue_order)
        state.queued[node.digest ^ step] = node
        if node.on_offer:
            state.kept.queue(node, action, step, known=step in state.credits)
        if action.leads_to is not None:
            state.reached[key_digest(action.leads_to)] = node
        accepted = True
    return accepted


def _refusal(state: State, node: Node, action: Action, step: int, taken: set[int]) -> Refusal | None:
    """Why `action`, whose key's digest is `step`, can't be queued at `node`, whose plan has `taken`; None when it can."""
    if not _makes_sense(action):
        return Refusal(action, "its claim is not a finite gain, with a spread of 0 or more and a probability between 0 and 1")
    if state.is_banned(action):
        return Refusal(action, BANNED)
    if step in taken if not action.parts else not taken.isdisjoint(map(key_digest, action.steps)):
        return Refusal(action, "a step of this plan already", node.id)
    digest = node.digest ^ step
    if digest in state.standing:
        return Refusal(action, "the same set of steps stands in the tree", state.standing[digest].id)
    if digest in state.queued:
        return Refusal(action, "the same set of steps is queued", state.queued[digest].id)
    if action.leads_to is not None and (known := state.reached.get(key_digest(action.leads_to))) is not None:
        return Refusal(action, "other steps that lead to the same stand in the tree or are queued", known.id)
    if action.second_parent is not None and not _is_proven(state, action.second_parent):
        return Refusal(action, f"its second parent {action.second_parent} is not a proven plan")
    return None


def _guide(state: State, wish: Pinned | Unpinned | Banned | Unbanned) -> None:
    match wish:
        case Pinned(id):
            node = state.node(id)
            _expect(id not in state.pins, f"node {id} is pinned already")
            state.pins[id] = node.visits + node.in_flight
        case Unpinned(id):
            _expect(id in state.pins, f"node {id} is not pinned")
            del state.pins[id]
        case Banned(idea):
            _expect(bool(idea) and idea not in state.bans, f"{idea!r} is banned already, or names nothing")
            state.bans.add(idea)
            _each_touched(state, _withdraw)
        case Unbanned(idea):
            _expect(idea in state.bans, f"{idea!r} is not banned")
            state.bans.remove(idea)
            _each_touched(state, _offer_again)


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise IllegalChange(otherwise)


def _each_touched(state: State, alter: Callable[[State, Node], bool]) -> None:
    """After a ban or its end: alter every queue, and renew what depends on it. A walk over the tree, as rare as a wish."""
    for node in state.nodes:
        if alter(state, node) or not node.proven:
            _refresh(state, node)


def _withdraw(state: State, node: Node) -> bool:
    """Take banned actions out of the queue; whether there were any."""
    banned = [action for action in node.queue if state.is_banned(action)]
    for action in banned:
        step = step_digest(action)
        node.queue.remove(action)
        del state.queued[node.digest ^ step]
        if node.on_offer:
            state.kept.withdraw(node, step)
        if action.leads_to is not None:
            del state.reached[key_digest(action.leads_to)]
        node.refusals[action.key] = Refusal(action, BANNED)
    return bool(banned)


def _offer_again(state: State, node: Node) -> bool:
    """Queue what was refused for a ban that no longer holds; whether anything was."""
    freed = [refusal.action for refusal in node.refusals.values() if refusal.reason == BANNED and not state.is_banned(refusal.action)]
    for action in freed:
        del node.refusals[action.key]
    if not _offer(state, node, freed):
        return False
    node.fruitless = 0
    return True


def _makes_sense(action: Action) -> bool:
    """NaN fails every comparison; let in, it would also make a stored change differ from itself."""
    return credible(action.gain_mean) and credible(action.gain_sd) and action.gain_sd >= 0.0 and 0.0 <= action.p_success <= 1.0


def _is_proven(state: State, id: NodeId) -> bool:
    return 0 <= id < len(state.nodes) and state.nodes[id].proven


def _line_up(state: State, node: Node) -> None:
    if state.is_kept:
        state.kept.place(node, may_write=state.can_write(node), may_ask=state.can_propose(node))


def _refresh(state: State, node: Node) -> None:
    """Bring the selectable flags from `node` to the root up to date: a descent then never has to turn back.

    The flag of an ancestor can change only when its child's did. So can the claim that the greedy policy keeps there: one is
    known only where those of all selectable arms are, so none is known above one that isn't.
    """
    _line_up(state, node)
    flags_may_change = True
    at: Node | None = node
    while at is not None and (flags_may_change or at.frontier_claim is not None):
        at.frontier_claim = None
        if flags_may_change:
            now = state.can_issue(at)
            flags_may_change = now != at.selectable
            if flags_may_change and at.parent is not None:
                at.parent.open_arms += 1 if now else -1
            at.selectable = now
        at = at.parent
