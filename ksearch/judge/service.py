"""Job JSON lines in, Verdict JSON lines out: the judge as a process. What candidates print never reaches these streams."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import TextIO

from pydantic import ValidationError

from ksearch.definitions.schema import Frozen
from ksearch.definitions.untrusted import first_problem
from ksearch.judge.description import describe
from ksearch.judge.judge import Judge
from ksearch.judge.process import hide_memory
from ksearch.judge.verdict import Job

DESCRIBE = json.dumps({"describe": True})
"""A line that asks what this judge is and what it can measure on, answered with a Description."""


class Refusal(Frozen):
    """The answer to a line that is no job: there is no candidate to give a verdict on."""

    error: str


def serve(lines: Iterable[str], answers: TextIO, warm: str | None = None, dataset: str | None = None) -> None:
    """Until the input ends; each answer is flushed. A line that is no job is answered with {"error": ...}.

    `dataset`: where datasets lie on this machine, when jobs come from another.
    """
    hide_memory()
    judge = Judge()
    if warm is not None:
        judge.warm(warm)
    try:
        for line in lines:
            if line.strip():
                answers.write(answer(judge, line, dataset) + "\n")
                answers.flush()
    finally:
        judge.close()


def answer(judge: Judge, line: str, dataset: str | None = None) -> str:
    if line.strip() == DESCRIBE:
        return describe().model_dump_json()
    try:
        job = Job.model_validate_json(line)
    except ValidationError as error:
        return Refusal(error=f"not a job: {first_problem(error)}").model_dump_json()
    return judge.judge(at_home(job, dataset)).model_dump_json()


def at_home(job: Job, dataset: str | None) -> Job:
    return job if dataset is None else job.model_copy(update={"dataset_root": dataset})


def private_stdout() -> TextIO:
    """The real standard output, moved aside: whatever else writes to 1 goes to stderr."""
    real = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return os.fdopen(real, "w", encoding="utf-8")
