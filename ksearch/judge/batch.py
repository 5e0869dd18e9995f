"""Judging from files: one job, or a folder of jobs with a verdict beside each."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pydantic import ValidationError

from ksearch.errors import BadInput
from ksearch.judge.judge import Judge
from ksearch.judge.process import hide_memory
from ksearch.judge.service import private_stdout, serve
from ksearch.judge.verdict import Job, Verdict

JOB_SUFFIX, VERDICT_SUFFIX = ".job.json", ".verdict.json"


def evaluate_stream() -> None:
    serve(sys.stdin, private_stdout())


def evaluate_file(path: Path, *, seed: int | None) -> None:
    """The verdict on stdout, as one line of JSON. Raises BadInput."""
    job = read_job(path, seed)
    verdicts = private_stdout()
    hide_memory()
    judge = Judge()
    try:
        verdicts.write(judge.judge(job).model_dump_json() + "\n")
        verdicts.flush()
    finally:
        judge.close()


def evaluate_folder(folder: Path, *, seed: int | None, again: bool) -> None:
    """Each NAME.job.json without a NAME.verdict.json gets one, written whole or not at all. Raises BadInput before it starts."""
    paths = sorted(folder.glob(f"*{JOB_SUFFIX}"))
    if not paths:
        raise BadInput(f"{folder}: no file named *{JOB_SUFFIX} in it")
    jobs = [(path, read_job(path, seed)) for path in paths if again or not verdict_path(path).exists()]
    verdicts = private_stdout()
    hide_memory()
    judge = Judge()
    try:
        for path, job in jobs:
            verdict = judge.judge(job)
            _write_whole(verdict_path(path), verdict)
            verdicts.write(f"{path.name}: {verdict.status}\n")
            verdicts.flush()
    finally:
        judge.close()


def verdict_path(job_path: Path) -> Path:
    return job_path.with_name(job_path.name.removesuffix(JOB_SUFFIX) + VERDICT_SUFFIX)


def read_job(path: Path, seed: int | None) -> Job:
    try:
        job = Job.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is no job: {str(error).splitlines()[0]}") from error
    return job if seed is None else job.model_copy(update={"seed": seed})


def _write_whole(path: Path, verdict: Verdict) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(verdict.model_dump_json() + "\n", encoding="utf-8")
    partial.replace(path)
