"""Constants of the search policy, each with its reason. On a synthetic landscape most of them hardly mattered, so they
are constants and not settings; what did matter is noted."""

KAPPA = 1.0
"""Pseudo-visits behind a plan's prior value: one measurement weighs as much as the claim."""

HONESTY_KAPPA = 1.0
HONESTY_PRIOR = 0.3
"""Before anything is measured, claimed gains are believed to 30 %: planners, and their authors, are optimists."""

FAILURE_COST = 0.1
"""Nats below the parent that a failed try counts for: no gain, minus what it cost; never minus infinity."""

MIX = 0.6
"""Weight of a subtree's best against its mean: a search wants the maximum, but one lucky timing must not decide."""

EXPLORATION = 0.5
TEMPERATURE = 0.25
UNIFORM_SHARE = 0.1
"""Prior: softmax of believed gains at this temperature (nats), with a tenth spread evenly."""

WIDENING_FACTOR = 1.0
WIDENING_POWER = 0.5
"""A plan may have ceil(factor * visits ** power) children: ideas are added as the plan proves worth visiting."""

ATTEMPTS = 3
"""Candidates written for a plan that doesn't pass before it closes."""

MAX_DEPTH = 32
PROPOSALS = 6
"""Actions asked for at once: more than widening will open soon, few enough to be revised by what is measured."""

FRUITLESS = 3
"""Propose tickets in a row that bring nothing new before a node's widening closes."""

RANGE_FLOOR = 1.5
"""Nats below the best reward under which values are no longer told apart."""

SPAN_FLOOR = 0.1
NOISE_SPANS = 4.0
"""The value scale never shrinks below 0.1 nats or four standard deviations of timing noise."""
