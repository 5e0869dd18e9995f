"""`--evaluator`: which one its text names, which device that has, and the evaluator itself."""

from __future__ import annotations

from pathlib import Path

from ksearch import devices
from ksearch.devices import Device
from ksearch.evaluators.base import Evaluator
from ksearch.settings import Settings

FAKE_FAILURES = 0.2
"""Share of plans that fail on the fake landscape: about what a search meets."""

IN_FLIGHT = {"local": 2, "fake": 1, "command": 2, "bundle": 8}
"""Candidates in flight. Locally one compiles while one is measured: more would be chosen before what is measured is known. A bundle
travels, so that a round should be worth the way."""


def kind_of(evaluator: str) -> str:
    return evaluator.partition(":")[0]


def in_rounds(evaluator: str) -> bool:
    """Whether verdicts come many at a time, from a device that is visited."""
    return kind_of(evaluator) == "bundle"


def device_at(evaluator: str, wanted: str) -> Device:
    """The device that jobs will be measured on. Raises BadInput, or Unavailable for a command that doesn't answer."""
    kind, _, where = evaluator.partition(":")
    if kind == "command":
        from ksearch.evaluators import command

        return command.description_of(where).device(wanted, evaluator)
    if kind == "bundle":
        from ksearch.evaluators import bundle

        return bundle.description_of(Path(where).expanduser()).device(wanted, evaluator)
    return devices.resolve(wanted)


def evaluator_at(settings: Settings, device: Device, in_flight: int) -> Evaluator:
    """Started; the caller closes it."""
    kind, _, where = settings.evaluator.partition(":")
    if kind == "fake":
        from ksearch.evaluators.fake import FakeEvaluator

        return FakeEvaluator(seed=settings.seed, delay_s=settings.evaluation.fake_delay_s, failure_rate=FAKE_FAILURES)
    if kind == "command":
        from ksearch.evaluators.command import CommandEvaluator

        return CommandEvaluator(where, device.spec)
    if kind == "bundle":
        from ksearch.evaluators.bundle import BundleEvaluator

        return BundleEvaluator(Path(where).expanduser(), device.spec)
    from ksearch.evaluators.local import LocalEvaluator

    return LocalEvaluator(device=device.spec, compile_workers=in_flight)
