"""What the search believes a technique is worth, revised by Bayes' rule from what was measured.

Gain: measured natural-log gains of one technique are draws of a normal with unknown mean and variance, under the
conjugate normal-inverse-gamma prior (Murphy, "Conjugate Bayesian analysis of the Gaussian distribution", 2007,
section 3; the formulas below are its equations 85 to 89 and 100). Success: Bernoulli with a Beta prior.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ksearch.tree.types import Action, NodeId
from ksearch.worldmodel.catalogue import Catalogue
from ksearch.worldmodel.types import Belief, Evidence

PRIOR_GAINS = 1.0
"""Pseudo-observations behind the prior mean: one measurement weighs as much as the engineering guess."""

PRIOR_SHAPE = 2.0
"""Shape of the inverse-gamma prior on the variance: the smallest whole number with a finite expected variance."""

UNKNOWN_MEAN, UNKNOWN_SD = 0.0, 0.5
"""Prior of a technique that no catalogue names: no claim either way, within a factor of about 1.6."""


@dataclass(frozen=True, slots=True)
class Normal:
    """Mean and standard deviation of the *next* gain of a technique (its predictive distribution)."""

    mean: float
    sd: float


def gain(belief: Belief) -> Normal:
    """Posterior predictive mean and sd of a gain, in natural-log speed-up.

    Without measurements it is the prior itself: the inverse-gamma scale is chosen so that the predictive sd is
    `prior_sd`.
    """
    mean0, n = belief.prior_mean, belief.gains
    scale0 = belief.prior_sd**2 * (PRIOR_SHAPE - 1) * PRIOR_GAINS / (PRIOR_GAINS + 1)
    weight = PRIOR_GAINS + n
    mean = (PRIOR_GAINS * mean0 + belief.gain_sum) / weight
    shape = PRIOR_SHAPE + n / 2
    scale = scale0
    if n:
        sample_mean = belief.gain_sum / n
        # Rounding may push the sum of squared deviations of equal gains just below 0.
        deviations = max(0.0, belief.gain_sumsq - n * sample_mean**2)
        scale += 0.5 * deviations + 0.5 * PRIOR_GAINS * n * (sample_mean - mean0) ** 2 / weight
    variance = scale / (shape - 1) * (weight + 1) / weight
    return Normal(mean, math.sqrt(variance))


def success(belief: Belief) -> float:
    """Posterior mean of P(passes) under a Beta(1, 1) prior."""
    return (1 + belief.successes) / (2 + belief.successes + belief.failures)


def with_prior(belief: Belief, mean: float, sd: float) -> Belief:
    """The same measurements seen from another prior: a technique's choices (block sizes) share what was measured."""
    return replace(belief, prior_mean=mean, prior_sd=sd)


@dataclass(frozen=True)
class Beliefs:
    """Immutable set of beliefs by technique id. `learn` returns a new one; order of evidence doesn't matter."""

    by_technique: Mapping[str, Belief] = field(default_factory=lambda: MappingProxyType({}))

    @staticmethod
    def of(catalogue: Catalogue) -> Beliefs:
        """Priors of a catalogue. A technique with several choices gets the mean of their claims."""
        claims: dict[str, list[tuple[float, float]]] = {}
        for technique in catalogue.techniques:
            claims.setdefault(technique.id, []).append((technique.gain_mean, technique.gain_sd))
        return Beliefs(MappingProxyType({name: _prior(name, pairs) for name, pairs in claims.items()}))

    def belief(self, technique: str) -> Belief:
        found = self.by_technique.get(technique)
        return found or Belief(technique, prior_mean=UNKNOWN_MEAN, prior_sd=UNKNOWN_SD)

    def learn(self, evidence: Evidence) -> Beliefs:
        """Credit one settled write to its last step. Code that did not follow its plan teaches nothing."""
        if not evidence.followed:
            return self
        name = evidence.action.technique
        return Beliefs(MappingProxyType({**self.by_technique, name: revised(self.belief(name), evidence)}))

    def learn_all(self, evidence: Iterable[Evidence]) -> Beliefs:
        beliefs = self
        for item in evidence:
            beliefs = beliefs.learn(item)
        return beliefs

    def all(self) -> tuple[Belief, ...]:
        return tuple(self.by_technique.values())


def _prior(name: str, claims: list[tuple[float, float]]) -> Belief:
    means, sds = zip(*claims, strict=True)
    return Belief(name, prior_mean=sum(means) / len(means), prior_sd=sum(sds) / len(sds))


def revised(belief: Belief, evidence: Evidence) -> Belief:
    """The belief of the evidence's technique after it. Built in full: `replace` takes ten times as long, for each outcome of a log."""
    b, gained = belief, 0.0 if evidence.gain is None else evidence.gain
    if not evidence.passed:
        return Belief(b.technique, b.prior_mean, b.prior_sd, b.gains, b.gain_sum, b.gain_sumsq, b.successes, b.failures + 1)
    measured = b.gains + (evidence.gain is not None)
    return Belief(
        b.technique, b.prior_mean, b.prior_sd, measured, b.gain_sum + gained, b.gain_sumsq + gained**2, b.successes + 1, b.failures
    )


def evidence(
    node: NodeId, action: Action, reward: float | None, parent_reward: float | None, stage: str | None, followed: bool = True
) -> Evidence:
    """What a settled write teaches about the plan's last step; the gain is known only when both ends are."""
    gain = reward - parent_reward if reward is not None and parent_reward is not None else None
    return Evidence(node=node, action=action, passed=reward is not None, gain=gain, failed_stage=stage, followed=followed)
