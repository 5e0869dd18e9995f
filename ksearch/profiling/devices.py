"""A device's ceilings: measured once and kept, or from the datasheet when the device is not here."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pydantic import ValidationError

from ksearch.devices import Device
from ksearch.judge.cache import cache_root
from ksearch.profiling.ceilings import Ceilings
from ksearch.profiling.datasheets import datasheet_of

MEASURING_S = 120.0
FORMAT = 2
"""Raised when what is measured changes: older files are then measured again."""


class NotMeasured(Exception):
    """The device could not be measured; the text says why."""


def ceilings_of(device: Device, *, here: bool, again: bool = False) -> Ceilings:
    """Measured when the device is `here` (kept, and taken from there unless `again`), else the datasheet's, which then says why.

    Raises NotMeasured when neither is to be had.
    """
    if not here:
        return _from_datasheet(device, "the device is elsewhere")
    kept = _place(device)
    if not again and (known := _read(kept)) is not None:
        return known
    try:
        measured = _measure(device)
    except NotMeasured as error:
        return _from_datasheet(device, str(error))
    _keep(kept, measured)
    return measured


def _from_datasheet(device: Device, why: str) -> Ceilings:
    sheet = datasheet_of(device.name)
    if sheet is None:
        raise NotMeasured(f"{device.name}: not measured ({why}), and no datasheet is known here")
    return sheet.model_copy(update={"details": f"{sheet.details}; not measured: {why}"})


def _place(device: Device) -> Path:
    """By model and, for a GPU, its index: two of a kind may differ. Not by driver: ceilings are the hardware's."""
    name = hashlib.sha256(f"{FORMAT}/{device.spec}/{device.name}/{os.uname().nodename}".encode()).hexdigest()[:24]
    return cache_root() / "ceilings" / f"{name}.json"


def _read(path: Path) -> Ceilings | None:
    try:
        return Ceilings.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _keep(path: Path, ceilings: Ceilings) -> None:
    """Whole or not at all: another run may be reading."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(ceilings.model_dump_json(indent=2) + "\n")
    Path(partial).replace(path)


def _measure(device: Device) -> Ceilings:
    """In a process of its own. Raises NotMeasured."""
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**os.environ, **single, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "ksearch.profiling.measuring", device.spec, device.name]
    try:
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=MEASURING_S, check=True)
        return Ceilings.model_validate_json(answer.stdout.strip().splitlines()[-1])
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:] or ["no output"]
        raise NotMeasured(f"{device.spec}: {last[0]}") from error
    except (OSError, subprocess.TimeoutExpired, ValidationError, IndexError) as error:
        raise NotMeasured(f"{device.spec}: {error}") from error
