"""How far claims came true: the planner's of a step, a forecaster's of a kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist, fmean

from ksearch.records.model import CandidateRecord, ForecastRecord, NodeRecord, RunRecord
from ksearch.report.page.model import Calibration, ClaimPoint, ReliabilityBin

BOUNDS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
"""Bins of claimed P(success): finer at the top, where planners claim."""

_CENTRAL_80 = NormalDist().inv_cdf(0.9)


def claims_of(record: RunRecord) -> Calibration:
    """Claims of every step that was tried against what was measured."""
    points = tuple(point for node in record.nodes if (point := _point(node)) is not None)
    return calibration("planner", points)


def _point(node: NodeRecord) -> ClaimPoint | None:
    if node.action is None or not node.attempts:
        return None
    passed = True if node.own_best is not None else False if node.status == "closed" else None
    return ClaimPoint(
        node=node.id, claimed=node.action.gain_mean, sd=node.action.gain_sd, p_success=node.action.p_success, passed=passed, gain=node.gain
    )


def forecasts_of(record: RunRecord) -> tuple[Calibration, ...]:
    """For each forecaster: its forecasts of kernels that were then judged, as gains over the parent."""
    found: dict[str, list[ClaimPoint]] = {}
    for candidate in record.candidates:
        if candidate.forecast is not None and (point := _forecast(record, candidate, candidate.forecast)) is not None:
            found.setdefault(candidate.forecast.forecaster, []).append(point)
    return tuple(calibration(f"forecaster {name}", tuple(points)) for name, points in found.items())


def _forecast(record: RunRecord, candidate: CandidateRecord, said: ForecastRecord) -> ClaimPoint | None:
    parent = record.nodes[candidate.node].parent
    base = None if parent is None else record.nodes[parent].own_best
    if base is None or candidate.outcome is None:
        return None
    return ClaimPoint(
        node=candidate.node, claimed=said.reward - base, sd=said.sigma, p_success=said.p_passes, passed=candidate.outcome == "measured",
        gain=None if candidate.reward is None else candidate.reward - base,
    )  # fmt: skip


def calibration(source: str, points: tuple[ClaimPoint, ...]) -> Calibration:
    known = [(point, point.gain) for point in points if point.gain is not None]
    settled = [(point.p_success, float(point.passed)) for point in points if point.passed is not None]
    if len(known) < 2:
        return Calibration(
            source=source, points=points, measured=len(known), bias=None, mae=None, crps=None, coverage=None, rank=None,
            brier=_brier(settled), reliability=_reliability(settled),
        )  # fmt: skip
    return Calibration(
        source=source, points=points, measured=len(known),
        bias=fmean(gain - point.claimed for point, gain in known),
        mae=fmean(abs(gain - point.claimed) for point, gain in known),
        crps=fmean(crps(point.claimed, point.sd, gain) for point, gain in known),
        coverage=fmean(abs(gain - point.claimed) <= _CENTRAL_80 * point.sd for point, gain in known),
        rank=spearman([point.claimed for point, _ in known], [gain for _, gain in known]),
        brier=_brier(settled), reliability=_reliability(settled),
    )  # fmt: skip


def crps(mean: float, sd: float, value: float) -> float:
    """Of a normal (Gneiting and Raftery, "Strictly proper scoring rules", 2007, eq. 21); the absolute error at sd = 0."""
    if sd <= 0:
        return abs(value - mean)
    z, unit = (value - mean) / sd, NormalDist()
    return sd * (z * (2 * unit.cdf(z) - 1) + 2 * unit.pdf(z) - 1 / math.sqrt(math.pi))


def spearman(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Rank correlation, ties sharing their mean rank; None when one side is constant."""
    a, b = _ranks(left), _ranks(right)
    mean = (len(a) + 1) / 2
    spread = math.sqrt(sum((x - mean) ** 2 for x in a) * sum((y - mean) ** 2 for y in b))
    return sum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True)) / spread if spread > 0 else None


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks, start = [0.0] * len(values), 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for place in range(start, end + 1):
            ranks[order[place]] = (start + end) / 2 + 1
        start = end + 1
    return ranks


def _brier(settled: Sequence[tuple[float, float]]) -> float | None:
    return fmean((claimed - passed) ** 2 for claimed, passed in settled) if settled else None


def _reliability(settled: Sequence[tuple[float, float]]) -> tuple[ReliabilityBin, ...]:
    return tuple(found for low, high in pairwise(BOUNDS) if (found := _bin(settled, low, high)) is not None)


def _bin(settled: Sequence[tuple[float, float]], low: float, high: float) -> ReliabilityBin | None:
    inside = [(claimed, passed) for claimed, passed in settled if low <= claimed < high or (high == 1.0 and claimed == 1.0)]
    if not inside:
        return None
    return ReliabilityBin(
        low=low, high=high, claims=len(inside), claimed=fmean(claimed for claimed, _ in inside), passed=fmean(p for _, p in inside)
    )
