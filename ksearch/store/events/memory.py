"""Events of knowledge that crosses runs."""

from __future__ import annotations

from typing import Literal

from ksearch.store.events.base import Frozen


class RecalledTechnique(Frozen):
    """What earlier runs of the same operator class and hardware measured of a technique, all together. Gains in nats."""

    technique: str
    gains: int
    gain_sum: float
    gain_sumsq: float
    successes: int
    failures: int
    runs: tuple[str, ...]


class RecalledLesson(Frozen):
    """A lesson of an earlier run, with where it comes from."""

    text: str
    run: str
    definition: str
    operator: str
    hardware: str
    bottleneck: str


class KnowledgeRecalled(Frozen):
    """What the run was told of earlier ones when it began. `base` names the knowledge base, to which it adds what it learns."""

    type: Literal["knowledge_recalled"] = "knowledge_recalled"
    base: str
    techniques: tuple[RecalledTechnique, ...] = ()
    lessons: tuple[RecalledLesson, ...] = ()
