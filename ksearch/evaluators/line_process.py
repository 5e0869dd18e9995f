"""A process that answers JSON lines with JSON lines, one at a time, and can neither hang nor crash its user."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import IO

from pydantic import ValidationError

from ksearch.evaluators.base import mismatch
from ksearch.judge.verdict import Job, Verdict

GRACE_S = 120.0
"""Over a job's own limits: what a process may take to start, import torch and answer."""


class JudgeLost(Exception):
    """The process ended, took too long or answered with something that is no verdict."""


class LineProcess:
    """In a session of its own: a terminal's Ctrl-C ends the search in order, and the search ends this."""

    def __init__(self, arguments: Sequence[str], *, env: Mapping[str, str] | None = None, pass_fds: tuple[int, ...] = ()) -> None:
        """Raises OSError when the program can't be started."""
        self._process = subprocess.Popen(
            list(arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=pass_fds,
            env=None if env is None else dict(env), start_new_session=True,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    def judge(self, job: Job) -> Verdict:
        """Blocks until the verdict. Raises JudgeLost."""
        line = self.ask(job.model_dump_json(), job.limits.total_s + job.limits.compile_s + GRACE_S)
        try:
            verdict = Verdict.model_validate_json(line)
        except ValidationError as error:
            raise JudgeLost(f"the judge answered {line[:500]!r}") from error
        if (problem := mismatch(verdict, job)) is not None:
            raise JudgeLost(f"the judge's answer is not this job's: {problem}")
        return verdict

    def ask(self, line: str, limit_s: float) -> bytes:
        """One line for one line. Raises JudgeLost; a process over the limit is killed."""
        to_process, from_process = self._streams()
        watch = threading.Timer(limit_s, self.kill)
        watch.daemon = True
        watch.start()
        try:
            to_process.write(line.encode() + b"\n")
            to_process.flush()
            answer = from_process.readline()
        except (OSError, ValueError) as error:
            raise JudgeLost(str(error)) from error
        finally:
            watch.cancel()
        if not answer.endswith(b"\n"):
            raise JudgeLost(f"the judge process ended (status {self._process.poll()})")
        return answer

    def _streams(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def kill(self) -> None:
        """End it; safe from any thread, more than once."""
        self._process.kill()
        self._process.wait()

    def finish(self, limit_s: float) -> None:
        """End its input and wait a while for it to leave by itself, then kill it."""
        with contextlib.suppress(OSError, ValueError):
            self._streams()[0].close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(limit_s)
        self.kill()
