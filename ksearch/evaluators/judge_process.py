"""One judge process, driven over its standard streams, that can't outlive this process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import IO

from pydantic import ValidationError

from ksearch.judge.verdict import Job, Verdict
from ksearch.store.guard import without_secrets


class JudgeLost(Exception):
    """The judge process ended or answered with something that is no verdict."""


class JudgeProcess:
    """Started by the thread that will use it: the kernel ends the judge when its creating *thread* ends."""

    def __init__(self, device: str) -> None:
        lifeline, self._lifeline = os.pipe()
        arguments = [sys.executable, "-m", "ksearch.judge", "--lifeline", str(lifeline), "--warm", device]
        paths = os.pathsep.join(path for path in sys.path if path)
        try:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[lifeline],
                env={**without_secrets(os.environ), "PYTHONPATH": paths},
                start_new_session=True,  # a terminal's Ctrl-C ends the search in order, and the search ends the judge
            )
        finally:
            os.close(lifeline)

    @property
    def pid(self) -> int:
        return self._process.pid

    def judge(self, job: Job) -> Verdict:
        """Blocks until the verdict. Raises JudgeLost."""
        to_judge, from_judge = self._streams()
        try:
            to_judge.write(job.model_dump_json().encode() + b"\n")
            to_judge.flush()
            line = from_judge.readline()
        except (OSError, ValueError) as error:
            raise JudgeLost(str(error)) from error
        if not line.endswith(b"\n"):
            raise JudgeLost(f"the judge process ended (status {self._process.poll()})")
        try:
            return Verdict.model_validate_json(line)
        except ValidationError as error:
            raise JudgeLost(f"the judge answered {line[:500]!r}") from error

    def _streams(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def kill(self) -> None:
        """End it and all it started; safe from any thread, more than once."""
        with contextlib.suppress(OSError):
            os.close(self._lifeline)
        self._lifeline = -1
        self._process.kill()
        self._process.wait()
        for stream in self._streams():
            with contextlib.suppress(OSError, ValueError):
                stream.close()
