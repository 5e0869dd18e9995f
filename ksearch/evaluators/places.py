"""`--evaluator`: which one its text names, which device that has, what it costs, and the evaluator itself."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from ksearch import devices
from ksearch.devices import Device
from ksearch.errors import BadInput, Unavailable
from ksearch.evaluators.base import Evaluator
from ksearch.settings import Settings

FAKE_FAILURES = 0.2
"""Share of plans that fail on the fake landscape: about what a search meets."""

IN_FLIGHT = {"local": 2, "fake": 1, "command": 2, "bundle": 8, "modal": 4}
"""Candidates in flight. Locally one compiles while one is measured: more would be chosen before what is measured is known. A bundle
travels, so that a round should be worth the way. At Modal it is the containers that an app may have by default."""


def kind_of(evaluator: str) -> str:
    return evaluator.partition(":")[0]


def in_rounds(evaluator: str) -> bool:
    """Whether verdicts come many at a time, from a device that is visited."""
    return kind_of(evaluator) == "bundle"


def in_flight(evaluator: str, device: Device) -> int:
    """On a Ray cluster one compiles, or waits, while each device measures."""
    return device.count + 1 if kind_of(evaluator) == "ray" else IN_FLIGHT[kind_of(evaluator)]


def device_at(settings: Settings) -> Device:
    """The device that jobs will be measured on. Raises BadInput, or Unavailable for a place that doesn't answer."""
    evaluator, wanted = settings.evaluator, settings.device
    kind, _, where = evaluator.partition(":")
    if kind == "command":
        from ksearch.evaluators import command

        return command.description_of(where).device(wanted, evaluator)
    if kind == "bundle":
        from ksearch.evaluators import bundle

        return bundle.description_of(Path(where).expanduser()).device(wanted, evaluator)
    if kind == "modal":
        return _modal_device(settings)
    if kind == "ray":
        from ksearch.evaluators.ray.cluster import device_of

        return device_of(where, wanted)
    return devices.resolve(wanted)


def usd_per_second(settings: Settings) -> Decimal:
    """What a second of a rented machine costs; 0 for machines of one's own."""
    if kind_of(settings.evaluator) != "modal":
        return Decimal(0)
    from ksearch.evaluators.modal import rental

    return rental.usd_per_second(_modal_gpu(settings), settings.modal.usd_per_second)


def price_note(settings: Settings) -> str | None:
    """What the place costs, for the user; None where nothing is rented."""
    if kind_of(settings.evaluator) != "modal":
        return None
    from ksearch.evaluators.modal import rental

    return rental.price_text(_modal_gpu(settings), settings.modal.usd_per_second)


def evaluator_at(settings: Settings, device: Device, parallel: int, run_folder: Path | None) -> Evaluator:
    """Started; the caller closes it. What must outlive this process is kept in `run_folder`."""
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
    if kind == "modal":
        return _modal_evaluator(settings, device, parallel, run_folder)
    if kind == "ray":
        from ksearch.evaluators.ray.evaluator import RayEvaluator

        return RayEvaluator(where, device)
    from ksearch.evaluators.local import LocalEvaluator

    return LocalEvaluator(device=device.spec, compile_workers=parallel)


def _modal_gpu(settings: Settings) -> str:
    from ksearch.evaluators.modal.rental import gpu_named

    return gpu_named(settings.evaluator.partition(":")[2] or settings.modal.gpu)


def _modal_device(settings: Settings) -> Device:
    """Refuses, before a container is started, what could not be judged there."""
    from ksearch.evaluators.modal.app import CALL_LIMIT_S
    from ksearch.evaluators.modal.client import device_of
    from ksearch.evaluators.modal.service import deployed

    gpu, limits = _modal_gpu(settings), settings.evaluation
    if limits.total_s + limits.compile_s > CALL_LIMIT_S:
        raise BadInput(f"evaluation.total_s and compile_s: a call at Modal may last {CALL_LIMIT_S} s, both together are longer")
    judge = deployed(gpu)
    _dataset_there(settings)
    return device_of(judge, gpu, settings.device)


def _dataset_there(settings: Settings) -> str | None:
    """The dataset's place in a container; None for one without recorded tensors. Raises BadInput when it was not uploaded."""
    from ksearch.evaluators.modal.app import DATASETS, dataset_name
    from ksearch.evaluators.modal.service import CallLost, whole_datasets

    name = None if settings.dataset is None else dataset_name(settings.dataset)
    if name is None:
        return None
    try:
        known = whole_datasets()
    except CallLost as error:
        raise Unavailable(f"--evaluator modal: {error}") from error
    if name not in known:
        remedy = f"`ksearch modal deploy --dataset {settings.dataset}` takes it there"
        raise BadInput(f"--dataset {settings.dataset}: not on Modal's volume; {remedy}")
    return f"{DATASETS}/{name}"


def _modal_evaluator(settings: Settings, device: Device, parallel: int, run_folder: Path | None) -> Evaluator:
    from ksearch.evaluators.modal.client import ModalEvaluator, Rental
    from ksearch.evaluators.modal.service import deployed

    gpu = _modal_gpu(settings)
    handles = None if run_folder is None else run_folder / "modal-calls"
    rental = Rental(gpu, device, usd_per_second(settings))
    return ModalEvaluator(deployed(gpu), rental, parallel=parallel, handles=handles, dataset_root=_dataset_there(settings))
