"""A recorded landscape: a closed part of a playbook's space with what the judge measured at every configuration.

Closed: whatever legal techniques of `techniques` lead to from `defaults` stands among the points, so a search that is
replayed on it never asks for something that was not recorded. The file is JSON, compressed with xz, because hundreds of
kernels of one family are almost the same text.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ksearch.worldmodel.catalogue import Catalogue, Technique, Value

SUFFIX = ".landscape.json.xz"


class LandscapeError(ValueError):
    """A file is no landscape, or contradicts itself."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RecordedTechnique(_Record):
    """A technique as the catalogue had it when the landscape was swept: later editions of the playbook don't change the record."""

    id: str
    target: str
    parameter: str = ""
    sets: Mapping[str, Value]
    needs: Mapping[str, tuple[Value, ...]] = Field(default_factory=dict)
    intent: str
    rationale: str = ""
    gain_mean: float
    gain_sd: Annotated[float, Field(gt=0)]
    p_success: Annotated[float, Field(ge=0, le=1)]
    difficulty: int
    regime: str | None = None

    @classmethod
    def of(cls, technique: Technique) -> Self:
        return cls(**{name: getattr(technique, name) for name in cls.model_fields})

    def technique(self) -> Technique:
        return Technique(**{name: getattr(self, name) for name in type(self).model_fields})


class TimedWorkload(_Record):
    """A workload that every point was timed on. Weights are the objective's and sum to 1; microseconds."""

    uuid: str
    regime: str
    weight: Annotated[float, Field(gt=0)]
    axes: Mapping[str, int] = Field(default_factory=dict)
    baseline_us: Annotated[float, Field(gt=0)]


class Point(_Record):
    """One configuration and the judge's answer. Two configurations with the same `code` were measured once and share the answer."""

    config: Mapping[str, Value]
    code: str
    """Digest of the solution's sources; names them in `Landscape.sources`."""
    status: str
    stage: str | None = None
    message: str | None = None
    latencies_us: tuple[float, ...] = ()
    """Medians in microseconds, in the order of `Landscape.workloads`; empty unless passed."""
    noise_ln: float | None = None
    registers: int | None = None
    spill_bytes: int | None = None
    shared_bytes: int | None = None
    device_seconds: float = 0.0
    wall_seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return self.status == "PASSED"


class Landscape(_Record):
    """What was measured, on what. `sigma_noise` is the standard deviation of ln latency between repeats, over all passing points."""

    format: Literal[1] = 1
    name: str
    definition: str
    family: str
    device: Literal["cpu", "cuda"]
    device_name: str
    timer: str
    recorded: str
    """ISO date of the sweep."""
    versions: Mapping[str, str]
    language: str
    defaults: Mapping[str, Value]
    techniques: tuple[RecordedTechnique, ...]
    workloads: Annotated[tuple[TimedWorkload, ...], Field(min_length=1)]
    sigma_noise: Annotated[float, Field(ge=0)]
    points: Annotated[tuple[Point, ...], Field(min_length=1)]
    sources: Mapping[str, tuple[tuple[str, str], ...]] = Field(default_factory=dict)
    """By code digest: the source files as (path, text)."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for point in self.points:
            if point.passed != bool(point.latencies_us) or len(point.latencies_us) not in (0, len(self.workloads)):
                raise ValueError(f"{self.name}: {dict(point.config)} has {len(point.latencies_us)} latencies and status {point.status}")
        if not self.at(self.defaults).passed:
            raise ValueError(f"{self.name}: the plainest configuration did not pass")
        return self

    def at(self, config: Mapping[str, Value]) -> Point:
        """Raises LandscapeError when the configuration was not recorded."""
        point = self._by_config.get(_key(config))
        if point is None:
            raise LandscapeError(f"{self.name}: no record of {dict(config)}")
        return point

    @cached_property
    def catalogue(self) -> Catalogue:
        return Catalogue(self.name, self.defaults, tuple(recorded.technique() for recorded in self.techniques))

    @cached_property
    def _by_config(self) -> dict[tuple[tuple[str, Value], ...], Point]:
        return {_key(point.config): point for point in self.points}


def _key(config: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted(config.items()))


def save(landscape: Landscape, path: Path) -> None:
    path.write_bytes(lzma.compress(landscape.model_dump_json().encode(), preset=9))


def load(path: Path) -> Landscape:
    """Raises LandscapeError, naming the file, when it is no landscape."""
    try:
        return Landscape.model_validate_json(lzma.decompress(path.read_bytes()))
    except (lzma.LZMAError, ValidationError) as error:
        raise LandscapeError(f"{path} is no recorded landscape: {error}") from error
