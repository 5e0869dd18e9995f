"""What a container is: which GPU it has, what else it is given, and what a second of it costs. Needs nothing of Modal's."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ksearch.errors import BadInput

CORES = 4
MEMORY_GIB = 32
"""Of a container: the judge's own thread, nvcc beside it, and references in float64 on the host."""

Rate = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=9)]


class RentalPrices(BaseModel):
    """US dollars for a second."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: datetime.date
    core: Rate
    gib: Rate
    gpus: Mapping[str, Rate]

    def container(self, gpu: str) -> Decimal:
        return self.gpus[gpu] + CORES * self.core + MEMORY_GIB * self.gib


@cache
def shipped() -> RentalPrices:
    import yaml

    text = (resources.files(__package__) / "prices.yaml").read_text("utf-8")
    return RentalPrices.model_validate(yaml.safe_load(text))


def gpu_named(text: str) -> str:
    """One GPU as Modal names it. Raises BadInput for a number of them, and for a name that stands for more than one model.

    'H100' alone may be given an H200, 'A100' either memory size and 'B200+' a B300: their times can't stand in one run.
    """
    name = text.strip().upper()
    name = {"H100": "H100!"}.get(name, name)
    if name not in shipped().gpus:
        raise BadInput(f"GPU {text!r}: on Modal one of {', '.join(shipped().gpus)} (one of them, and always the same model)")
    return name


def usd_per_second(gpu: str, own: float | None) -> Decimal:
    """What a second of a container with this GPU costs: the user's figure, else the shipped one."""
    return shipped().container(gpu) if own is None else Decimal(str(own))


def price_text(gpu: str, own: float | None) -> str:
    hour = usd_per_second(gpu, own) * 3600
    origin = f"Modal's prices as of {shipped().as_of}" if own is None else "as set"
    return f"{hour:.2f} US dollars an hour for each container ({origin})"
