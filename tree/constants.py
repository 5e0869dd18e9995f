"""Every number the tree decides by, with where it comes from.

They are constants, not settings: on a synthetic landscape (300 seeds, 8 workers, 64 to 256 evaluations) the share of
the optimum that was reached hardly depended on `best_weight`, `exploration` and `widening_power`. They are still fields,
not literals, so that a test can scale all that carry the unit of a reward (nats, natural-log speed-up) together. Where a
comment names no source, the value is a choice for the reason given.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Constants:
    # kappa: pseudo-visits that a plan's prior value is worth. One: a single measurement already weighs as much as a claim.
    prior_visits: float = 1.0

    # delta, nats: what a failed try costs below the parent's own reward. About the gain of a typical small step, so that
    # failing is "no gain, minus its cost", and never the minus infinity that would bury a subtree after one typing error.
    failure_cost: float = 0.1

    # lambda: weight of the best reward below a plan against the mean. Above one half since a search wants the maximum.
    best_weight: float = 0.6

    # c: weight of the exploration term, for values normalised to [0, 1].
    exploration: float = 0.5

    # tau, nats: temperature of the prior over sibling arms. A believed advantage of 0.25 nats (28 %) is a factor e.
    temperature: float = 0.25

    # eps: share of the prior spread evenly, so that no claim can starve a sibling.
    prior_floor: float = 0.1

    # k0 and alpha of progressive widening: a plan visited n times may have ceil(k0 n^alpha) arms. The square root is the
    # usual choice (Couetoux et al., "Continuous upper confidence trees", 2011).
    widening_scale: float = 1.0
    widening_power: float = 0.5

    # b0 and kappa_b, nats^2: claimed gains are believed at 0.3 of their size until some are measured: a claim is made
    # before the code exists. kappa_b weighs as much as one proven plan that claimed a factor e.
    honesty_start: float = 0.3
    honesty_weight: float = 1.0

    # Standard deviation of a measured gain around its believed claim, nats, until `claims_known` plans tell it: what a
    # forecast of the written code is weighed against.
    claim_error: float = 0.35
    claims_known: int = 8

    # Bounds of the span that maps values to [0, 1], nats: at least 0.1 and at least 4 standard deviations of timing
    # noise (or noise would be read as signal), at most 1.5 below the best (or one catastrophic plan would flatten the rest).
    least_span: float = 0.1
    noise_spans: float = 4.0
    most_span: float = 1.5

    # kappa of `tree.credit`: pseudo-measurements behind a claimed gain, and pseudo-tries behind a claimed P(success).
    claim_weight: float = 1.0
    success_weight: float = 2.0

    # Prior of the chance that two steps that pass alone pass together, and the pairs that it weighs as much as. A merge of three
    # steps takes three pairs: at 0.95 it passes six times in seven if its parts do, which it must make up for by what it gains.
    pair_chance: float = 0.95
    pair_weight: float = 20.0

    # Weight of one result of a technique's other parameters in the prior of a step; the claim has `claim_weight`.
    kin_weight: float = 1.0

    # Exploration of the policy by expected improvement, for values in [0, 1] relative to the best branch.
    improvement_exploration: float = 0.2

    # Standard deviation, nats, of what an idea that nobody had yet may bring, before any answer tells: about that of a catalogue's
    # claims. Each idea that a plan has already makes the next one weigh as much less as one more draw narrows a mean.
    unknown_gain: float = 0.3

    # Chance that an attempt passes where the one before it failed, against that of a first attempt.
    repair_share: float = 0.5

    # Attempts at one plan: a first candidate and two repairs. Each costs as much as trying a new idea.
    attempts: int = 3

    # Longest plan. Far beyond what composes in practice; a guard on recursion and on prompts, not a tuning knob.
    max_depth: int = 32

    # Answers in a row without a new action after which a plan is not asked for more.
    fruitless_limit: int = 3

    # Actions asked for at once: enough for the widening of a plan's first 16 visits, few enough that later ideas can use
    # what was measured meanwhile.
    proposals: int = 4


DEFAULTS = Constants()
