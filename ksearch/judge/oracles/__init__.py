"""Oracles: what makes an output right. Each works from the judge's pristine inputs alone."""

from __future__ import annotations

from ksearch.definitions.schema import Definition
from ksearch.judge.oracles.attention import AttentionOracle
from ksearch.judge.oracles.base import Expectation, Oracle, Problem
from ksearch.judge.oracles.dsa_topk import DsaTopkOracle
from ksearch.judge.oracles.gdn import GdnOracle
from ksearch.judge.oracles.moe import MoeOracle
from ksearch.judge.oracles.tolerance import ToleranceOracle
from ksearch.judge.reference import Reference

__all__ = ["Expectation", "Oracle", "Problem", "oracle_for"]


def oracle_for(definition: Definition, reference: Reference) -> Oracle:
    """The oracle that knows this operator (by its interface, not its name), else the general one."""
    if DsaTopkOracle.recognises(definition):
        return DsaTopkOracle(definition)
    for kind in (MoeOracle, GdnOracle, AttentionOracle):
        if kind.recognises(definition):
            return kind(definition, reference)
    return ToleranceOracle(definition, reference)
