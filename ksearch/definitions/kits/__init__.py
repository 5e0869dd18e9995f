"""One kit for each operator family: input generators, regimes, hidden workloads. `kit_for` finds a definition's."""

from __future__ import annotations

from ksearch.definitions.kits import dense, dsa, gdn, moe, paged
from ksearch.definitions.kits.base import OperatorKit
from ksearch.definitions.kits.generic import GENERIC
from ksearch.definitions.schema import Definition

KITS: tuple[OperatorKit, ...] = (*dsa.KITS, *gdn.KITS, *moe.KITS, *paged.KITS, *dense.KITS)
"""In order of precedence: a kit that needs more inputs stands before one that needs fewer of them."""


def kit_for(definition: Definition) -> OperatorKit:
    """The first kit that recognises the definition; the generic one when none does."""
    return next((kit for kit in KITS if kit.recognises(definition)), GENERIC)
