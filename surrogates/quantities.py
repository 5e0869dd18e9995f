"""Units, levels, bands and thresholds, each in one place: prompts, labels, scores and decisions read them from here.

A number that a prompt asks for and a label answers can't drift apart when both are rendered from one `Quantity`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from ksearch.surrogates.types import Forecast

LOW, MIDDLE, HIGH = 0.1, 0.5, 0.9
"""Quantile levels of a forecast; LOW to HIGH is its 80 % interval."""

INTERVAL_SHARE = HIGH - LOW

NORMAL_REACH = NormalDist().inv_cdf(HIGH)
"""Standard deviations from the middle of a normal distribution to the end of its 80 % interval (1.2816)."""

LEAST_SIGMA = 0.02
"""Nats. No forecast is believed to be sharper: two careful measurements of one kernel differ by as much."""

SAME = 0.03
"""Relative difference below which two kernels count as equally fast when nothing better is known of the noise."""

PAIR_BANDS: tuple[tuple[str, float, float], ...] = (
    ("3 to 20 %", math.log(1.03), math.log(1.2)),
    ("1.2x to 1.65x", math.log(1.2), math.log(1.65)),
    ("above 1.65x", math.log(1.65), math.inf),
)
"""How far apart two kernels are (|ln ratio|, nats): name, from, below. Telling 2x apart is easy, the last 20 % is the work."""

NOISE_REACH = 2.0 * math.sqrt(2.0)
"""Two measurements with standard deviation s differ by less than this times s in 95 % of cases without a real difference."""

LARGEST_D = 10.0
"""Nats: a factor of 22,000 either way. A forecast beyond it is a slip of the unit."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number that a forecaster is asked for: its field in the tool call, its unit and meaning in words, its range."""

    name: str
    unit: str
    meaning: str
    least: float
    most: float

    @property
    def range(self) -> str:
        return f"{self.unit}, {self.least:g} to {self.most:g}"

    @property
    def line(self) -> str:
        return f"- {self.name} ({self.range}): {self.meaning}"


P_PASSES = Quantity("p_passes", "probability", "that the candidate compiles, runs and gives correct results on every workload", 0.0, 1.0)
D10, D50, D90 = (
    Quantity(name, "natural logarithm", meaning, -LARGEST_D, LARGEST_D)
    for name, meaning in (
        ("d10", f"{LOW:.0%} quantile of ln(t_candidate / t_parent), given that it passes; below 0 is faster than the parent"),
        ("d50", f"median of the same; {math.log(0.5):.2f} is twice as fast, {math.log(1.1):+.2f} is 10 % slower"),
        ("d90", f"{HIGH:.0%} quantile of the same; d10 to d90 should hold the truth in {INTERVAL_SHARE:.0%} of cases"),
    )
)
ASKED: tuple[Quantity, ...] = (P_PASSES, D10, D50, D90)


def describe() -> str:
    """The quantities in words, for a prompt or a person."""
    return "\n".join(quantity.line for quantity in ASKED)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A forecast in the tree's units: P(passes), and mean and standard deviation of the reward (nats, larger is faster)."""

    pi: float
    mu: float
    sigma: float


def estimate(forecast: Forecast, parent_reward: float) -> Estimate:
    """The one conversion from ratios to a parent (smaller is faster) to rewards (larger is faster).

    mu = r_parent - d50; sigma from the 80 % interval read as a normal's, at least LEAST_SIGMA.
    """
    sigma = (forecast.d90 - forecast.d10) / (2.0 * NORMAL_REACH)
    return Estimate(forecast.p_passes, parent_reward - forecast.d50, max(LEAST_SIGMA, sigma))


def noise_band(sigma_noise: float) -> float:
    """Nats: rewards closer than this are ties. `sigma_noise` is the standard deviation of one measurement of ln latency."""
    return NOISE_REACH * sigma_noise
