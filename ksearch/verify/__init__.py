"""Judging solutions that somebody brings, and a run's incumbent afresh: `ksearch verify`."""
