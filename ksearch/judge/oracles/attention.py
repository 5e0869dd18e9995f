"""Oracle of attention that also returns the logarithm of its softmax's sum (lse).

The sum says how much of the softmax was taken in, so an error of it is bounded as what it is: absolutely, and not relative to a
logarithm of about ten. -inf is right for a row with nothing to attend to, and only there. Averaged over rows and heads hardly
anything may be missing: a kernel that leaves out one entry in a thousand, everywhere, is seen by that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ksearch.definitions.schema import Definition
from ksearch.judge.oracles.base import Errors, Expectation, Problem
from ksearch.judge.oracles.tolerance import ToleranceOracle, element_name

if TYPE_CHECKING:
    import torch

LSE = "lse"
EACH = 2.0**-7
"""Of one lse, in its own unit: queries scaled in bfloat16 move a logit of size 4 by as much."""
LARGE = 16.0
"""Size of an lse from which on its own rounding counts: logits are then large, and so are the errors of their products."""
MEAN = 4e-4
"""Of the mean over all lse: rounding leans to no side. One entry in 2048 left out moves it by 5e-4 (base e) or 7e-4 (base 2)."""
MANY = 64
"""Values from which on a mean is one."""


class AttentionOracle(ToleranceOracle):
    @staticmethod
    def recognises(definition: Definition) -> bool:
        spec = definition.outputs.get(LSE)
        return len(definition.outputs) > 1 and spec is not None and spec.dtype == "float32"

    def check(self, expectation: Expectation, outputs: Sequence[Any]) -> Problem | Errors:
        place = self.names.index(LSE)
        truth = expectation.content.exact[place]
        found = super().check(expectation, outputs)
        if isinstance(found, Problem):
            return found
        return _of_the_sum(truth, outputs[place].double()) or found


def _of_the_sum(truth: torch.Tensor, out: torch.Tensor) -> Problem | None:
    import torch

    finite = truth.isfinite()
    if not bool(finite.any()):
        return None
    difference = torch.where(finite, out - truth, 0.0)
    units = difference.abs() / torch.where(finite, truth.abs() / LARGE, 0.0).clamp_min(1.0)
    worst = int(units.reshape(-1).argmax())
    element = element_name(LSE, worst, tuple(truth.shape))
    if float(units.reshape(-1)[worst]) > EACH:
        off = float(difference.reshape(-1)[worst])
        return Problem(f"{element}: off by {off:.3g}, at most {EACH:.3g} is allowed", element)
    mean = float(difference.sum()) / int(finite.sum())
    if int(finite.sum()) >= MANY and abs(mean) > MEAN:
        return Problem(f"{LSE} is off by {mean:.3g} on average, at most {MEAN:.3g} is allowed: part of the softmax is missing", element)
    return None
