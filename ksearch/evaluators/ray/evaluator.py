"""A Ray cluster as an evaluator: one worker for each device, and a lost one's job goes to another."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass

from pydantic import ValidationError

from ksearch.devices import Device
from ksearch.evaluators.base import Capabilities, give, infrastructure_verdict, mismatch, other_device
from ksearch.evaluators.line_process import GRACE_S, JudgeLost
from ksearch.evaluators.ray.cluster import Hired, connect, leave, nodes
from ksearch.judge.verdict import JUDGE_VERSION, Job, Verdict

TRIES = 3
PAUSE_S = 2.0
CLOSED = "the evaluator was closed before it answered"


@dataclass
class Waiting:
    job: Job
    future: Future[Verdict]
    losses: int = 0


class RayEvaluator:
    """`device.count` workers, each judging one job at a time. A candidate's times all come from one device; devices of another
    model than the run's are left alone."""

    def __init__(self, address: str, device: Device) -> None:
        connect(address)
        self.name = f"ray:{address}" if address else "ray"
        self.device = device
        self._waiting: queue.Queue[Waiting] = queue.Queue()
        self._open: dict[Future[Verdict], Job] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._at_work = 0
        homes: list[str | None] = list(nodes()) if device.kind == "cpu" else [None] * device.count
        self._threads = [threading.Thread(target=self._work, args=(home,), name="ray", daemon=True) for home in homes]
        for thread in self._threads:
            thread.start()

    def capabilities(self) -> Capabilities:
        return Capabilities(devices=(self.device.spec,), measuring=len(self._threads), compiling=0, needs_torch=False)

    def submit(self, job: Job) -> Future[Verdict]:
        future: Future[Verdict] = Future()
        with self._lock:
            if self._closing.is_set():
                raise RuntimeError("the evaluator is closed")
            self._open[future] = job
        future.set_running_or_notify_cancel()
        future.add_done_callback(self._forget)
        self._waiting.put(Waiting(job, future))
        return future

    def close(self) -> None:
        with self._lock:
            self._closing.set()
            waiting = dict(self._open)
        for thread in self._threads:
            thread.join(timeout=10)
        for future, job in waiting.items():
            give(future, infrastructure_verdict(job, CLOSED))
        leave()

    def _forget(self, future: Future[Verdict]) -> None:
        with self._lock:
            self._open.pop(future, None)

    def _work(self, home: str | None) -> None:
        """One device: hire a worker for it, give it jobs, hire another when it is lost."""
        while not self._closing.is_set():
            worker, reason = self._hire(home)
            if worker is None:
                self._nobody_comes(reason)
                self._closing.wait(PAUSE_S)
                continue
            with self._lock:
                self._at_work += 1
            try:
                self._serve(worker)
            finally:
                with self._lock:
                    self._at_work -= 1
                worker.dismiss()

    def _hire(self, home: str | None) -> tuple[Hired | None, str]:
        """A worker whose device is the run's, or why there is none."""
        worker = Hired(self.device.spec, home)
        try:
            described = worker.describe(self._closing.is_set)
        except JudgeLost as error:
            worker.dismiss()
            return None, str(error)
        names = {facts.name for facts in described.devices if facts.spec == self.device.spec}
        if described.judge_version == JUDGE_VERSION and names == {self.device.name}:
            return worker, ""
        worker.dismiss()
        return None, f"a worker has {', '.join(sorted(names)) or 'no such device'} and judge version {described.judge_version}"

    def _nobody_comes(self, reason: str) -> None:
        """Without a single worker, what waits is told so; the search decides how often it asks again."""
        if self._at_work:
            return
        while True:
            try:
                waiting = self._waiting.get_nowait()
            except queue.Empty:
                return
            give(waiting.future, infrastructure_verdict(waiting.job, f"no worker in the cluster: {reason}"))

    def _serve(self, worker: Hired) -> None:
        """Until the worker is lost, or the evaluator closes. A job that lost its worker goes to whoever is free next."""
        while not self._closing.is_set():
            try:
                waiting = self._waiting.get(timeout=0.2)
            except queue.Empty:
                continue
            try:
                give(waiting.future, self._judged(worker, waiting.job))
            except JudgeLost as error:
                self._lost(waiting, str(error))
                return

    def _judged(self, worker: Hired, job: Job) -> Verdict:
        """Raises JudgeLost."""
        limit_s = job.limits.total_s + job.limits.compile_s + GRACE_S
        line = worker.ask(job.model_dump_json(), limit_s, limit_s + GRACE_S, self._closing.is_set)
        try:
            verdict = Verdict.model_validate_json(line)
        except ValidationError as error:
            raise JudgeLost(f"a worker answered {line[:300]!r}") from error
        problem = mismatch(verdict, job) or other_device(verdict, self.device)
        if problem is not None:
            raise JudgeLost(problem)
        return verdict

    def _lost(self, waiting: Waiting, reason: str) -> None:
        waiting.losses += 1
        if self._closing.is_set():
            give(waiting.future, infrastructure_verdict(waiting.job, CLOSED))
        elif waiting.losses >= TRIES:
            give(waiting.future, infrastructure_verdict(waiting.job, f"{TRIES} workers were lost with it, the last: {reason}"))
        else:
            self._waiting.put(waiting)
