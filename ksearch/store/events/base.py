"""What all events share."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

Digest: TypeAlias = str
"""SHA-256 of a stored blob."""
CandidateId: TypeAlias = int
Kind: TypeAlias = Literal["evaluate", "promote"]
"""An ordinary evaluation on the subset of workloads, or the full judgement."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
