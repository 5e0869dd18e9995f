"""A folder as an evaluator: jobs are written there, and judged by `ksearch evaluate FOLDER` whenever and wherever it is run.

For machines that this one can't reach: copy the folder there, evaluate, copy it back. A verdict counts only for the very
question that was asked; the search waits for the rest, and a resumed run asks the same questions again, so that what was
answered meanwhile is found.
"""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import Future
from pathlib import Path

from pydantic import ValidationError

from ksearch.definitions.untrusted import MAX_JSON_BYTES, first_problem, read_text
from ksearch.errors import BadInput
from ksearch.evaluators.base import Capabilities, give, infrastructure_verdict, mismatch
from ksearch.judge.batch import DESCRIPTION, JOB_SUFFIX, file_name, read_description, verdict_path, write_whole
from ksearch.judge.description import Description
from ksearch.judge.verdict import Job, Status, Verdict

POLL_S = 0.5


class BundleEvaluator:
    """Jobs stay in the folder when this closes: what is judged later is taken in by a resume."""

    def __init__(self, folder: Path, device: str) -> None:
        self.name = f"bundle:{folder}"
        self.folder, self.device = folder, device
        self._open: dict[Path, tuple[Job, Future[Verdict]]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._watching = threading.Thread(target=self._watch, name="bundle", daemon=True)
        self._watching.start()

    def capabilities(self) -> Capabilities:
        return Capabilities(devices=(self.device,), measuring=1, compiling=0, needs_torch=False, keeps_jobs=True)

    def submit(self, job: Job) -> Future[Verdict]:
        future: Future[Verdict] = Future()
        path = self.folder / f"{file_name(job)}{JOB_SUFFIX}"
        with self._lock:
            if self._closing.is_set():
                raise RuntimeError("the evaluator is closed")
            try:
                if not path.exists():
                    write_whole(path, job.model_dump_json())
            except OSError as error:
                give(future, infrastructure_verdict(job, f"{path}: {error.strerror}"))
            else:
                self._open[path] = (job, future)
        return future

    def close(self) -> None:
        self._closing.set()
        self._watching.join(timeout=10)
        with self._lock:
            waiting, self._open = dict(self._open), {}
        for job, future in waiting.values():
            give(future, infrastructure_verdict(job, f"not judged yet; it waits in {self.folder}"))

    def _watch(self) -> None:
        """Verdicts are handed over together once no more appear: a folder comes back file by file, and who is promoted first depends
        on all of a round."""
        before: set[Path] = set()
        while not self._closing.wait(POLL_S):
            with self._lock:
                answered = {path for path in self._open if os.path.lexists(verdict_path(path))}
            if answered and answered == before:
                self._hand_over(answered)
            before = answered

    def _hand_over(self, answered: set[Path]) -> None:
        with self._lock:
            given = [(path, *self._open.pop(path)) for path in sorted(answered)]
        verdicts = [(future, self._taken(verdict_path(path), job)) for path, job, future in given]
        for future, verdict in verdicts:
            give(future, verdict)

    def _taken(self, path: Path, job: Job) -> Verdict:
        """The verdict; a file that answers another question is put aside, and so is one without a verdict on the candidate."""
        try:
            verdict = Verdict.model_validate_json(read_text(path, MAX_JSON_BYTES))
            problem = mismatch(verdict, job)
        except ValidationError as error:
            verdict, problem = infrastructure_verdict(job, ""), first_problem(error)
        except BadInput as error:
            verdict, problem = infrastructure_verdict(job, ""), str(error)
        if problem is not None:
            verdict = infrastructure_verdict(job, f"{path.name} is refused: {problem}")
        if verdict.status is Status.INFRASTRUCTURE and not verdict.final:
            with contextlib.suppress(OSError):
                path.replace(path.with_suffix(".refused"))
        return verdict


def description_of(folder: Path) -> Description:
    """Raises BadInput when the folder does not say what it will be judged on."""
    if not (folder / DESCRIPTION).is_file():
        raise BadInput(
            f"--evaluator bundle:{folder}: has no {DESCRIPTION}; run `ksearch evaluate {folder} --describe` on the machine with the "
            "device, and bring the file here"
        )
    return read_description(folder)
