"""Everything that a search could do next, indexed so that the best of it is found without walking the tree.

Made when a policy first looks at it (`State.frontier`) and kept by the fold from then on, as nodes are proven, proposals
queued and attempts issued: a log that is folded to be read pays nothing for it. All orders are by what never changes once it
is known, so the index is a pure function of the state, whenever it was made and whatever the order of arrival.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple

from ksearch.tree.node import Node, step_digest
from ksearch.tree.types import Action

NEW_STEPS = 48
"""Queued steps of which nothing is known yet that are looked at for a choice, the most hopeful first. A catalogue has
fewer; a language model's ideas rarely repeat, and then only the best claims can win."""

HOLDERS = 3
"""Plans looked at for a step that was tried before: it is the same step everywhere, so the best plans go first."""

OTHERS = 16
"""Unproven plans to try again, and proven plans to ask for ideas, that are looked at for a choice."""


class Offer(NamedTuple):
    """A queued proposal. `rank` is minus the reward that it claims at best, one standard deviation up, relative to the root's."""

    rank: float
    node: Node
    action: Action
    step: int


def offer_of(node: Node, action: Action, step: int) -> Offer:
    assert node.own is not None, "only proven plans take proposals"
    return Offer(-(node.own + action.gain_mean + action.gain_sd), node, action, step)


class Frontier:
    """`fresh` ranks queued steps that were never opened anywhere, which `untried` holds by step; `tried` holds the other queued
    steps, the best plan first. `waiting` are unproven plans that may be written for now, `hungry` proven plans that may be
    asked for ideas now, both best first."""

    __slots__ = ("fresh", "hungry", "tried", "untried", "waiting")

    def __init__(self) -> None:
        self.untried: dict[int, list[Offer]] = {}
        self.tried: dict[int, list[Offer]] = {}
        self.fresh: list[Offer] = []
        self.waiting: list[tuple[float, int, Node]] = []
        self.hungry: list[tuple[float, int, Node]] = []

    def take_up(self, nodes: Iterable[Node], opened: Container[int]) -> None:
        """All proposals that these nodes offer; the steps `opened` are known. For a new frontier: sorted once, not inserted one by one."""
        for node in nodes:
            for action in node.queue if node.on_offer else ():
                step = step_digest(action)
                (self.tried if step in opened else self.untried).setdefault(step, []).append(offer_of(node, action, step))
        for offers in (*self.untried.values(), *self.tried.values()):
            offers.sort(key=_by_own)
        self.fresh = sorted((offer for offers in self.untried.values() for offer in offers), key=_by_claim)

    def queue(self, node: Node, action: Action, step: int, *, known: bool) -> None:
        offer = offer_of(node, action, step)
        insort((self.tried if known else self.untried).setdefault(step, []), offer, key=_by_own)
        if not known:
            insort(self.fresh, offer, key=_by_claim)

    def open(self, node: Node, step: int) -> None:
        """A queued step became an arm of `node`; from here on the step is known everywhere."""
        offers = self.untried.pop(step, None)
        if offers is not None:
            for offer in offers:
                del self.fresh[bisect_left(self.fresh, _by_claim(offer), key=_by_claim)]
        else:
            offers = self.tried.pop(step)
        rest = [offer for offer in offers if offer.node is not node]
        if rest:
            self.tried[step] = rest

    def withdraw(self, node: Node, step: int) -> None:
        """A proposal left the queue of `node` without becoming an arm."""
        known = step in self.tried
        offers = (self.tried if known else self.untried)[step]
        (gone,) = (offer for offer in offers if offer.node is node)
        offers.remove(gone)
        if not known:
            del self.fresh[bisect_left(self.fresh, _by_claim(gone), key=_by_claim)]
        if not offers:
            del (self.tried if known else self.untried)[step]

    def place(self, node: Node, *, may_write: bool, may_ask: bool) -> None:
        """Bring the node's places in line up to date. `node.in_line` says which it has."""
        _place(self.waiting, node, _claim(node), wanted=may_write, bit=1)
        _place(self.hungry, node, node.own or 0.0, wanted=may_ask, bit=2)

    def offers(self) -> Iterator[Offer]:
        """The queued proposals worth a look, in no order that means anything."""
        yield from self.fresh[:NEW_STEPS]
        for offers in self.tried.values():
            yield from offers[:HOLDERS]


class Unkept(Frontier):
    """Before anybody looks at it: keeping the index costs a seventh of folding a log."""

    __slots__ = ()

    def queue(self, node: Node, action: Action, step: int, *, known: bool) -> None:
        pass

    def open(self, node: Node, step: int) -> None:
        pass

    def withdraw(self, node: Node, step: int) -> None:
        pass

    def place(self, node: Node, *, may_write: bool, may_ask: bool) -> None:
        pass

    def offers(self) -> Iterator[Offer]:
        raise LookupError("not kept yet: State.frontier makes it")


def _place(line: list[tuple[float, int, Node]], node: Node, worth: float, *, wanted: bool, bit: int) -> None:
    has = bool(node.in_line & bit)
    if has == wanted:
        return
    node.in_line ^= bit
    entry = (-worth, node.id, node)
    if wanted:
        insort(line, entry, key=_by_worth)
    else:
        del line[bisect_left(line, _by_worth(entry), key=_by_worth)]


def _claim(node: Node) -> float:
    return 0.0 if node.parent is None else node.parent_own + node.gain


def _by_own(offer: Offer) -> tuple[float, int]:
    assert offer.node.own is not None
    return -offer.node.own, offer.node.id


def _by_claim(offer: Offer) -> tuple[float, int, int]:
    """Equal claims are ordered by digest, so that those of one plan don't stand before all of another's."""
    return offer.rank, offer.step, offer.node.id


def _by_worth(entry: tuple[float, int, Node]) -> tuple[float, int]:
    return entry[0], entry[1]
