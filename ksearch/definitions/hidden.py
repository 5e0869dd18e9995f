"""Workloads drawn after a candidate is fixed, so that it can't have been written for them."""

from __future__ import annotations

from collections.abc import Sequence

from ksearch.definitions.kits import kit_for
from ksearch.definitions.kits.base import HiddenCases
from ksearch.definitions.schema import Definition, Workload


def hidden_workloads(definition: Definition, base_workloads: Sequence[Workload], seed: int) -> tuple[Workload, ...]:
    """Hidden workloads within the axes that `base_workloads` span (small ones give small ones).

    Empty when the definition has inputs that nobody can draw: the verdict then says so.
    """
    return tuple(kit_for(definition).hidden(HiddenCases(definition, base_workloads, seed)))
