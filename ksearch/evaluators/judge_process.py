"""One judge process on this machine, driven over its standard streams, that can't outlive this process."""

from __future__ import annotations

import contextlib
import os
import sys

from ksearch.evaluators.line_process import LineProcess
from ksearch.judge.host import drop_scratch
from ksearch.store.guard import without_secrets


class JudgeProcess(LineProcess):
    """Started by the thread that will use it: the kernel ends the judge when its creating *thread* ends."""

    def __init__(self, device: str) -> None:
        lifeline, self._lifeline = os.pipe()
        arguments = [sys.executable, "-m", "ksearch.judge", "--lifeline", str(lifeline), "--warm", device]
        paths = os.pathsep.join(path for path in sys.path if path)
        try:
            super().__init__(arguments, env={**without_secrets(os.environ), "PYTHONPATH": paths}, pass_fds=(lifeline,))
        finally:
            os.close(lifeline)

    def kill(self) -> None:
        """End it and all it started; safe from any thread, more than once."""
        lifeline, self._lifeline = self._lifeline, -1
        with contextlib.suppress(OSError):
            os.close(lifeline)
        super().kill()
        drop_scratch(self.pid)
