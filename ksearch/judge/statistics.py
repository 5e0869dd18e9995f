"""The judge's arithmetic: plain functions of raw samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median, stdev

T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093,
)  # fmt: skip
"""97.5 % points of Student's t for 1, 2, ... degrees of freedom."""
NORMAL_975 = 1.96


def t_interval(values: Sequence[float], factor: float | None = None) -> tuple[float, float, float]:
    """(mean, low, high): the two-sided 95 % interval of the mean, or that of `factor` standard errors. Needs two values."""
    freedom = len(values) - 1
    if factor is None:
        factor = T_975[freedom - 1] if freedom <= len(T_975) else NORMAL_975
    mean, half = fmean(values), factor * stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def robust_spread(values: Sequence[float]) -> float:
    """Standard deviation of the bulk: 1.4826 times the median absolute deviation."""
    middle = median(values)
    return 1.4826 * median(abs(value - middle) for value in values)


def log_noise(groups: Sequence[Sequence[float]]) -> float | None:
    """Spread of ln latency between repeats, pooled over workloads; None with fewer than two samples everywhere."""
    spreads = [robust_spread([math.log(value) for value in group]) for group in groups if len(group) > 1]
    return math.sqrt(fmean(spread**2 for spread in spreads)) if spreads else None
