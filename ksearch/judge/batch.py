"""Judging from files: one job, or a folder of jobs with a verdict beside each."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from ksearch.errors import BadInput
from ksearch.judge.description import Description, describe
from ksearch.judge.judge import Judge
from ksearch.judge.offers import Judged, next_offer
from ksearch.judge.process import hide_memory
from ksearch.judge.service import at_home, private_stdout, serve
from ksearch.judge.verdict import Job, Verdict

JOB_SUFFIX, VERDICT_SUFFIX = ".job.json", ".verdict.json"
DESCRIPTION = "evaluator.json"


def evaluate_stream(dataset: str | None) -> None:
    serve(sys.stdin, private_stdout(), dataset=dataset)


def write_description(folder: Path | None) -> None:
    """What this machine is, into the folder (so that a search elsewhere can plan for it) or on stdout."""
    text = describe().model_dump_json() + "\n"
    if folder is None:
        sys.stdout.write(text)
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / DESCRIPTION, text)


def read_description(folder: Path) -> Description:
    """Raises BadInput."""
    try:
        return Description.model_validate_json((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise BadInput(f"{folder / DESCRIPTION}: {str(error).splitlines()[0]}") from error


def evaluate_file(path: Path, *, seed: int | None, dataset: str | None) -> None:
    """The verdict on stdout, as one line of JSON. Raises BadInput."""
    job = at_home(read_job(path, seed), dataset)
    verdicts = private_stdout()
    hide_memory()
    judge = Judge()
    try:
        verdicts.write(judge.judge(job).model_dump_json() + "\n")
        verdicts.flush()
    finally:
        judge.close()


def evaluate_folder(folder: Path, *, seed: int | None, again: bool, dataset: str | None) -> None:
    """Each NAME.job.json without a NAME.verdict.json gets one, written whole or not at all. Raises BadInput before it starts."""
    paths = sorted(folder.glob(f"*{JOB_SUFFIX}"))
    if not paths:
        raise BadInput(f"{folder}: no file named *{JOB_SUFFIX} in it")
    jobs = [(path, at_home(read_job(path, seed), dataset)) for path in paths if again or not verdict_path(path).exists()]
    verdicts = private_stdout()
    hide_memory()
    judge = Judge()
    try:
        for line in judge_folder(folder, jobs, lambda job: judge.judge(at_home(job, dataset))):
            verdicts.write(line + "\n")
            verdicts.flush()
    finally:
        judge.close()


def judge_folder(folder: Path, jobs: Sequence[tuple[Path, Job]], judge: Callable[[Job], Verdict]) -> Iterator[str]:
    """Judge the jobs, then the promotions that better candidates of the folder were offered; a line on each."""
    for path, job in jobs:
        verdict = judge(job)
        write_whole(verdict_path(path), verdict.model_dump_json() + "\n")
        yield f"{path.name}: {verdict.status}"
    while (promotion := next_promotion(folder)) is not None:
        path = folder / f"{file_name(promotion)}{JOB_SUFFIX}"
        verdict = judge(promotion)
        write_whole(path, promotion.model_dump_json())
        write_whole(verdict_path(path), verdict.model_dump_json() + "\n")
        won = verdict.paired is not None and verdict.paired.promoted
        yield f"{path.name}: {verdict.status}, {'promoted' if won else 'not promoted'}"


def file_name(job: Job) -> str:
    """Of the question, not of the run: asked again it is the same file."""
    name = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in job.job)
    return f"{name}-{job.question[:16]}"


def next_promotion(folder: Path) -> Job | None:
    """Read off the folder alone, so that a place that was interrupted goes on where it was."""
    judged = []
    for path in sorted(folder.glob(f"*{JOB_SUFFIX}")):
        if verdict_path(path).exists():
            verdict = Verdict.model_validate_json(verdict_path(path).read_text(encoding="utf-8"))
            judged.append(Judged(read_job(path, None), verdict))
    return next_offer(judged)


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


def write_whole(path: Path, text: str) -> None:
    """The file appears with all its text or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
