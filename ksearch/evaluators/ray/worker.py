"""What runs on a node of a Ray cluster: one judge for the one device that Ray gave this worker."""

from __future__ import annotations

from ksearch.evaluators.judge_process import JudgeProcess
from ksearch.evaluators.line_process import JudgeLost

TRIES = 2


class Worker:
    """A Ray actor of one thread. Ray shows it one GPU, which its judge then knows as the first.

    The judge is a child that dies with this process, also when that is killed.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._judge: JudgeProcess | None = None

    def line(self, line: str, limit_s: float) -> str:
        """A Job or DESCRIBE as JSON; the judge's answer. Raises RuntimeError when no judge could be had (Ray carries it over)."""
        reason = ""
        for _ in range(TRIES):
            try:
                if self._judge is None:
                    self._judge = JudgeProcess(self._device)
                return self._judge.ask(line, limit_s).decode("utf-8").rstrip("\n")
            except (JudgeLost, OSError, UnicodeDecodeError) as error:
                reason = str(error)
                self._drop()
        raise RuntimeError(reason)

    def _drop(self) -> None:
        judge, self._judge = self._judge, None
        if judge is not None:
            judge.kill()
