"""What is believed of a candidate before anything like it was measured: its plan's own claims, halfway to "no gain"."""

from __future__ import annotations

import math

from ksearch.surrogates.quantities import NORMAL_REACH
from ksearch.surrogates.types import Forecast, Sample

CLAIM_HONESTY = 0.3
"""Share of a claimed gain that is believed unseen: what the search tree starts from, too."""

SPREAD = 0.6
"""Nats: standard deviation of a measured gain around such a claim: 0.32 to 0.76 over the steps of the swept dsa_topk and gemm
spaces on an H200."""

PASSES = 0.8
"""P(passes) of a candidate whose plan claims nothing."""


def claimed_p(sample: Sample) -> float:
    """All steps taken at once must work."""
    claimed = math.prod(step.p_success for step in sample.last_steps) if sample.last_steps else PASSES
    return min(0.99, max(0.01, claimed))


def claimed_gain(sample: Sample) -> float:
    """Nats, as far as claims are believed; steps taken at once add up."""
    return CLAIM_HONESTY * math.fsum(step.gain_mean for step in sample.last_steps)


def prior_forecast(name: str, sample: Sample, *, tokens: int = 0, usd: float = 0.0, malformed: int = 0) -> Forecast:
    d50 = -claimed_gain(sample)
    reach = NORMAL_REACH * SPREAD
    return Forecast(name, claimed_p(sample), d50 - reach, d50, d50 + reach, tokens, usd, malformed)
