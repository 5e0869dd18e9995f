"""What models have cost a run so far: by role, by node, and in all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from ksearch.budget import ZERO
from ksearch.llm.types import Usage
from ksearch.store.fold import ModelCall, RunState

NONE = Usage()


@dataclass(frozen=True, slots=True)
class Spent:
    """`calls` settled or lost. A call that was lost counts at its reservation: its tokens stand in `unseen`, not in `usage`."""

    calls: int = 0
    usage: Usage = NONE
    unseen: int = 0
    usd: Decimal = ZERO

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.calls + other.calls, self.usage + other.usage, self.unseen + other.unseen, self.usd + other.usd)

    @property
    def tokens(self) -> int:
        return self.usage.total + self.unseen

    @property
    def cached_share(self) -> float | None:
        """Part of the input that was read from the provider's cache; None when there was no input."""
        read = self.usage.input + self.usage.cached + self.usage.written
        return self.usage.cached / read if read else None


def spent_on(calls: Iterable[ModelCall]) -> Spent:
    total = Spent()
    for call in calls:
        total += _spent(call)
    return total


def spent_by_role(state: RunState) -> dict[str, Spent]:
    found: dict[str, Spent] = {}
    for call in state.calls.values():
        role = call.started.role
        found[role] = found.get(role, Spent()) + _spent(call)
    return found


def spent_by_node(state: RunState) -> dict[int | None, Spent]:
    """Node None: calls for no particular node."""
    found: dict[int | None, Spent] = {}
    for call in state.calls.values():
        node = call.started.node
        found[node] = found.get(node, Spent()) + _spent(call)
    return found


def _spent(call: ModelCall) -> Spent:
    if call.lost:
        return Spent(1, Usage(), call.started.tokens, call.started.usd)
    done = call.settled
    if done is None:
        return Spent()
    return Spent(1, Usage(done.input, done.cached, done.written, done.output), 0, done.usd)
