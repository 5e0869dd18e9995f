"""Oracle of gated delta nets: the state that a call leaves behind is an output, and what errs in it errs in every later call.

A state in float32 is a promise to keep it so. What tensor cores do to the operands of a product is honest (in decoding tf32, since
the state itself is an operand; in prefill bfloat16, in which chunks are multiplied), so their rounding sets the limits. A state kept
in bfloat16 is off by ten times as much as such products make it in decoding, and a truncated one leans to one side in either.
"""

from __future__ import annotations

from typing import Any

from ksearch.definitions.schema import Definition
from ksearch.judge.oracles.tolerance import ToleranceOracle

INPUTS = frozenset({"q", "k", "v", "state", "A_log", "a", "dt_bias", "b"})
STATE = "new_state"
TF32, BFLOAT16 = 10, 7
"""Bits of mantissa."""


class GdnOracle(ToleranceOracle):
    @staticmethod
    def recognises(definition: Definition) -> bool:
        state = definition.outputs.get(STATE)
        return set(definition.inputs) >= INPUTS and state is not None and state.dtype == "float32"

    def _honest(self, inputs: tuple[Any, ...], written: list[Any]) -> list[list[Any]]:
        bits = BFLOAT16 if "cu_seqlens" in self.definition.inputs else TF32
        rounded = self.reference.with_rounded_products(inputs, bits)
        low = self.reference.with_rounded_products(inputs, BFLOAT16)
        variants = [written] if rounded is None else [written, rounded]
        if low is None:
            return variants
        place = self.names.index(STATE)
        return [*variants, [values if k != place else written[place] for k, values in enumerate(low)]]
