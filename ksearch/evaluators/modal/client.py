"""The search's side: jobs to containers, verdicts back; a call outlives this process, and is joined again by its handle."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from pydantic import ValidationError

from ksearch.devices import Device
from ksearch.errors import BadInput, Unavailable
from ksearch.evaluators.base import Capabilities, infrastructure_verdict, mismatch, other_device
from ksearch.evaluators.line_process import GRACE_S
from ksearch.evaluators.modal.container import Answer
from ksearch.evaluators.modal.service import CallLost, DeployedJudge
from ksearch.judge.batch import file_name, write_whole
from ksearch.judge.description import Description
from ksearch.judge.service import DESCRIBE
from ksearch.judge.verdict import Job, Verdict

TRIES = 3
PAUSE_S = 2.0
POLL_S = 2.0
"""How long one request waits for an answer; also how late `close` is noticed."""
QUEUE_S = 1800.0
"""Longest wait for a GPU to be free at Modal, on top of a job's own limits."""
HELLO_S = 900.0
"""A first container: an image of some gigabytes to load, a GPU to be found."""


@dataclass(frozen=True)
class Rental:
    """What the containers of a run are, and what a second of one costs in US dollars."""

    gpu: str
    device: Device
    usd_per_second: Decimal


class ModalEvaluator:
    """Each job is judged whole in one container: its latencies, its baseline and its opponent share a GPU. Different jobs go to
    different containers, `parallel` at a time. `handles` is the folder where calls under way are written down; None keeps them in
    memory alone. `dataset_root` is where the dataset lies in the container.
    """

    def __init__(
        self, judge: DeployedJudge, rental: Rental, *, parallel: int, handles: Path | None = None, dataset_root: str | None = None
    ) -> None:
        self.name = f"modal:{rental.gpu}"
        self.rental = rental
        self._judge, self._parallel, self._dataset_root = judge, parallel, dataset_root
        self._handles = Handles(handles)
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="modal")
        self._closing = threading.Event()

    def capabilities(self) -> Capabilities:
        spec = self.rental.device.spec
        return Capabilities(devices=(spec,), measuring=self._parallel, compiling=0, needs_torch=False, keeps_jobs=True)

    def submit(self, job: Job) -> Future[Verdict]:
        if self._closing.is_set():
            raise RuntimeError("the evaluator is closed")
        return self._pool.submit(self._judged, job)

    def close(self) -> None:
        """Calls under way go on at Modal: a resume takes in what they answer."""
        self._closing.set()
        self._pool.shutdown(wait=True)

    def _judged(self, job: Job) -> Verdict:
        reason, wasted_s = "closed before it was handed over", 0.0
        for attempt in range(TRIES):
            if self._closing.wait(PAUSE_S * attempt):
                break
            began = time.monotonic()
            try:
                return self._priced(self._answer(job), job, wasted_s)
            except _Closed:
                reason = "not judged yet; its call goes on at Modal, and a resume joins it"
                break
            except CallLost as error:
                reason = str(error)
                # What Modal bills for a call that it lost is not told: at most the time that passed here, waiting included.
                wasted_s += time.monotonic() - began
                self._handles.drop(job)
        lost = infrastructure_verdict(job, f"Modal: {reason}")
        return lost.model_copy(update={"usd": self._usd(wasted_s)})

    def _answer(self, job: Job) -> Answer:
        """Begin the call, or join the one that an earlier process of this run began."""
        handle = self._handles.of(job)
        if handle is None:
            handle = self._judge.begin(self._at_home(job).model_dump_json())
            self._handles.keep(job, handle)
        limit_s = job.limits.total_s + job.limits.compile_s + GRACE_S + QUEUE_S
        return _result(self._judge, handle, limit_s, self._closing.is_set)

    def _priced(self, answer: Answer, job: Job, wasted_s: float) -> Verdict:
        """The verdict with what it cost. Raises CallLost for an answer to another question, or from another device."""
        try:
            verdict = Verdict.model_validate_json(answer.line)
        except ValidationError as error:
            raise CallLost(f"the container answered {answer.line[:300]!r}") from error
        problem = mismatch(verdict, job) or other_device(verdict, self.rental.device)
        if problem is not None:
            raise CallLost(problem)
        self._handles.drop(job)
        return verdict.model_copy(update={"usd": self._usd(answer.seconds + wasted_s)})

    def _usd(self, seconds: float) -> float:
        return float(self.rental.usd_per_second * Decimal(str(seconds)))

    def _at_home(self, job: Job) -> Job:
        return job if self._dataset_root is None else job.model_copy(update={"dataset_root": self._dataset_root})


class Handles:
    """Calls under way, one small file each, named by the question: asked again by a resumed run, it is the same file."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._held: dict[str, str] = {}

    def of(self, job: Job) -> str | None:
        name = file_name(job)
        if name not in self._held and self._folder is not None:
            try:
                text = (self._folder / name).read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError):
                return None
            return text or None
        return self._held.get(name)

    def keep(self, job: Job, handle: str) -> None:
        self._held[file_name(job)] = handle
        if self._folder is not None:
            # On a full disk the call can't be joined by a later process; this one still has it, and must not pay for another.
            with contextlib.suppress(OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                write_whole(self._folder / file_name(job), handle + "\n")

    def drop(self, job: Job) -> None:
        self._held.pop(file_name(job), None)
        if self._folder is not None:
            with contextlib.suppress(OSError):
                (self._folder / file_name(job)).unlink()


class _Closed(Exception):
    """The evaluator was closed while a call was under way."""


def _result(judge: DeployedJudge, handle: str, limit_s: float, closing: Callable[[], bool]) -> Answer:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if closing():
            raise _Closed
        text = judge.result(handle, POLL_S)
        if text is not None:
            return _read(text)
    judge.cancel(handle)
    raise CallLost(f"no answer within {limit_s:.0f} s")


def _read(text: str) -> Answer:
    try:
        return Answer.model_validate_json(text)
    except ValidationError as error:
        raise CallLost(f"answered {text[:300]!r}; deploy again with this ksearch") from error


def description_of(judge: DeployedJudge, gpu: str) -> Description:
    """Ask a container what it is; starts one, which takes up to minutes. Raises Unavailable."""
    try:
        answer = _result(judge, judge.begin(DESCRIBE), HELLO_S, lambda: False)
        return Description.model_validate_json(answer.line)
    except CallLost as error:
        raise Unavailable(f"--evaluator modal:{gpu}: {error}; `ksearch modal deploy --gpu {gpu}` puts the judge there") from error
    except ValidationError as error:
        raise Unavailable(f"--evaluator modal:{gpu}: answered {answer.line[:200]!r}, which is no judge's description") from error


def device_of(judge: DeployedJudge, gpu: str, wanted: str) -> Device:
    """The GPU in a container. Raises BadInput for a cpu, which nobody rents a GPU for."""
    if wanted == "cpu":
        raise BadInput("--device cpu: Modal is asked for GPUs; leave --device away, or judge here with --evaluator local")
    device = description_of(judge, gpu).device(wanted, f"modal:{gpu}", remedy=f"`ksearch modal deploy --gpu {gpu}` again")
    if device.kind != "cuda":
        raise Unavailable(f"--evaluator modal:{gpu}: its container sees no GPU")
    return device


