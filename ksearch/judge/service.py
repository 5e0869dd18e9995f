"""Job JSON lines in, Verdict JSON lines out: the judge as a process. What candidates print never reaches these streams."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TextIO

from pydantic import ValidationError

from ksearch.definitions.schema import Frozen
from ksearch.judge.judge import Judge
from ksearch.judge.process import hide_memory
from ksearch.judge.verdict import Job


class Refusal(Frozen):
    """The answer to a line that is no job: there is no candidate to give a verdict on."""

    error: str


def serve(lines: Iterable[str], answers: TextIO, warm: str | None = None) -> None:
    """Until the input ends; each answer is flushed. A line that is no job is answered with {"error": ...}."""
    hide_memory()
    judge = Judge()
    if warm is not None:
        judge.warm(warm)
    try:
        for line in lines:
            if line.strip():
                answers.write(answer(judge, line) + "\n")
                answers.flush()
    finally:
        judge.close()


def answer(judge: Judge, line: str) -> str:
    try:
        job = Job.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        return Refusal(error=f"not a job: {place}: {first['msg']}").model_dump_json()
    return judge.judge(job).model_dump_json()


def private_stdout() -> TextIO:
    """The real standard output, moved aside: whatever else writes to 1 goes to stderr."""
    real = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return os.fdopen(real, "w", encoding="utf-8")
