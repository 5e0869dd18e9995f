"""What a sweep has measured so far: a JSON-lines file that is only appended to, so that a later call goes on where one stopped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ksearch.errors import BadInput

COMPILERS = ("torch", "triton", "apache-tvm-ffi")
"""Packages that decide what a code becomes."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Setting(_Record):
    """On what a sitting's measurements were made. A file has one for each sitting."""

    kind: Literal["setting"] = "setting"
    space: str
    definition: str
    device_name: str
    arch: str | None
    timer: str
    versions: Mapping[str, str]
    timed_calls: int
    recorded: str
    """ISO date."""
    baselines_us: Mapping[str, float]
    """The reference's latency by workload. Measured in each sitting; the first one's count."""


class Measured(_Record):
    """One measurement of one code. `turn` 0 is its first; the others tell the noise from sitting to sitting of the same code."""

    kind: Literal["measured"] = "measured"
    code: str
    turn: int
    status: str
    stage: str | None = None
    message: str | None = None
    latencies_us: Mapping[str, float] = Field(default_factory=dict)
    """Medians by workload."""
    noise_ln: float | None = None
    registers: int | None = None
    spill_bytes: int | None = None
    shared_bytes: int | None = None
    compile_seconds: float = 0.0
    device_seconds: float = 0.0
    wall_seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return self.status == "PASSED"


_LINE: TypeAdapter[Setting | Measured] = TypeAdapter(Annotated[Setting | Measured, Field(discriminator="kind")])


class Records:
    """One space's file. `settings` in order; `measured` by (code, turn), the latest of equal ones."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings: list[Setting] = []
        self.measured: dict[tuple[str, int], Measured] = {}
        for line in self._whole_lines():
            self._keep(line)

    def append(self, record: Setting | Measured) -> None:
        """Raises BadInput for a setting that contradicts the file's."""
        self._keep(record)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(record.model_dump_json(exclude_defaults=False) + "\n")

    def _keep(self, record: Setting | Measured) -> None:
        if isinstance(record, Measured):
            self.measured[record.code, record.turn] = record
            return
        if self.settings and (other := _difference(self.settings[0], record)) is not None:
            raise BadInput(f"{self.path} was measured with another {other}; sweep into another folder")
        self.settings.append(record)

    def _whole_lines(self) -> list[Setting | Measured]:
        """What a killed process left of a last line is cut off."""
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            self.path.write_text(whole, encoding="utf-8")
        try:
            return [_LINE.validate_json(line) for line in whole.splitlines()]
        except ValidationError as error:
            raise BadInput(f"{self.path} is no record of a sweep: {error}") from error


def _difference(one: Setting, other: Setting) -> str | None:
    """What makes two sittings' numbers incomparable. Another kernel or driver of the same machine doesn't."""
    names = ("space", "definition", "device_name", "arch", "timer", "timed_calls")
    if (name := next((name for name in names if getattr(one, name) != getattr(other, name)), None)) is not None:
        return name
    if one.baselines_us.keys() != other.baselines_us.keys():
        return "set of workloads"
    return next((name for name in COMPILERS if one.versions.get(name) != other.versions.get(name)), None)
