"""What people ask of a run while it is searched: taken from the inbox between two steps, judged, logged, answered.

Each request becomes one event, with the events of what it changed, in one transaction together with its answer: a
process that dies in between leaves it either untouched or wholly done.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from ksearch.errors import BadInput
from ksearch.settings import BudgetSettings, Settings, resolve
from ksearch.store.errors import SecretRefused
from ksearch.store.events import BudgetChanged, Event, RequestAnswered
from ksearch.store.fold import RunState
from ksearch.store.guard import refuse_secrets
from ksearch.store.journal import Journal
from ksearch.store.log import InboxAnswer, InboxRow
from ksearch.store.requests import REQUEST, Ban, Budget, Pin, Request, Stop, Unban, Unpin
from ksearch.tree.types import ROOT, Banned, Change, NodeId, Pinned, Unbanned, Unpinned


class Refused(Exception):
    """A request that can't be met; the message is the answer."""


@dataclass(frozen=True)
class Met:
    """What meets a request: changes that the live tree has taken already, and other events."""

    changes: tuple[Change, ...] = ()
    events: tuple[Event, ...] = ()
    stop: bool = False


NOTHING = Met()


def take_requests(journal: Journal) -> bool:
    """Take in what waits in the inbox; whether somebody asked for the end. Cheap when nothing waits."""
    ends = [_take(journal, row) for row in journal.log.inbox(waiting=True)]
    return any(ends)


def _take(journal: Journal, row: InboxRow) -> bool:
    try:
        refuse_secrets([row.request, row.origin])  # before anything changes: the log would refuse the event
        request = REQUEST.validate_json(row.request)
    except (SecretRefused, ValidationError) as error:
        reason = str(error) if isinstance(error, SecretRefused) else f"no request that this program knows: {error.errors()[0]['msg']}"
        journal.record(durable=True, answers=[InboxAnswer(row.number, "refused", reason)])
        return False
    if journal.state.tree is None and not isinstance(request, Budget | Stop):
        return False  # it waits until there is a tree to search
    try:
        met = meet(journal.state, request, row.time)
    except Refused as refusal:
        _answer(journal, row, request, NOTHING, "refused", str(refusal))
        return False
    _answer(journal, row, request, met, "done", None)
    return met.stop


def _answer(journal: Journal, row: InboxRow, request: Request, met: Met, outcome: Literal["done", "refused"], reason: str | None) -> None:
    answered = RequestAnswered(number=row.number, origin=row.origin, asked_at=row.time, request=request, outcome=outcome, reason=reason)
    journal.record_changes(met.changes, answered, *met.events, durable=True, answers=[InboxAnswer(row.number, outcome, reason)])


def meet(state: RunState, request: Request, asked_at: float) -> Met:
    """What the request comes to now; a wish that holds already is met by nothing. Raises Refused."""
    match request:
        case Pin(node=node):
            return Met(changes=_tree_wish(state, Pinned(_node(state, node))))
        case Unpin(node=node):
            return Met(changes=_tree_wish(state, Unpinned(_node(state, node))))
        case Ban(idea=idea):
            return Met(changes=_tree_wish(state, Banned(idea)))
        case Unban(idea=idea):
            return Met(changes=_tree_wish(state, Unbanned(idea)))
        case Budget(limits=limits):
            return Met(events=_new_limits(state.settings, limits))
        case Stop():
            if state.opened_at is not None and asked_at < state.opened_at:
                raise Refused("asked before this search was taken up again")
            return Met(stop=True)


def _tree_wish(state: RunState, wish: Pinned | Unpinned | Banned | Unbanned) -> tuple[Change, ...]:
    assert state.tree is not None
    return state.tree.guide(wish)


def _node(state: RunState, node: int) -> NodeId:
    assert state.tree is not None
    if node == ROOT:
        raise Refused("node 0 is the root: every search starts there")
    if node >= len(state.tree):
        raise Refused(f"the tree has no node {node} (1 to {len(state.tree) - 1})")
    return NodeId(node)


def _new_limits(settings: Settings, limits: Mapping[str, float | None]) -> tuple[Event, ...]:
    try:
        changed = changed_budget(settings, limits)
    except BadInput as error:
        raise Refused(str(error)) from error
    return () if changed == settings.budget else (BudgetChanged(budget=changed),)


def changed_budget(settings: Settings, limits: Mapping[str, float | None]) -> BudgetSettings:
    """The run's limits with these in place of the old. Raises BadInput naming what is wrong."""
    known = tuple(BudgetSettings.model_fields)
    for name in limits:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise BadInput(f"there is no limit {name!r}; " + (f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"))
    return resolve([settings.model_dump(mode="python"), {"budget": limits}]).budget
