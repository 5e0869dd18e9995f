"""When to ask again: exponential waits with full jitter, and never sooner than the server said.

Full jitter (a uniform draw up to the exponential bound) spreads clients that failed together better than a fixed or a
half-random wait: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

LONGEST_WAIT_S = 60.0

LONGEST_ASKED_S = 300.0
"""A Retry-After beyond this is a limit for the day, not a storm: not waited for."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """`tries` attempts in all; before the n-th again, a wait drawn from 0 to `base_s` 2^n seconds, at most `LONGEST_WAIT_S`."""

    tries: int
    base_s: float

    def wait_s(self, failures: int, asked_s: float | None, chance: random.Random) -> float | None:
        """Seconds to wait after so many failures in a row; None to give up."""
        if failures >= self.tries or (asked_s is not None and asked_s > LONGEST_ASKED_S):
            return None
        drawn = chance.uniform(0.0, min(LONGEST_WAIT_S, self.base_s * 2.0**failures))
        return drawn if asked_s is None else asked_s + chance.uniform(0.0, self.base_s)


def retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header; its other form, a date, is not used by these providers and is ignored."""
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        return None
