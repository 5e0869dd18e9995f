"""Judging from files: one job, or a folder of jobs with a verdict beside each."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from ksearch.definitions.untrusted import MAX_JSON_BYTES, first_problem, read_text
from ksearch.errors import BadInput, Unavailable, printable
from ksearch.judge.ahead import CompiledAhead
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
    path = folder / DESCRIPTION
    try:
        return Description.model_validate_json(read_text(path))
    except ValidationError as error:
        raise BadInput(printable(f"{path}: {first_problem(error)}")) from error


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
    jobs = [(path, at_home(read_job(path, seed), dataset)) for path in paths if again or not _judged(path)]
    verdicts = private_stdout()
    hide_memory()
    judge = Judge()
    try:
        with CompiledAhead([job for _, job in jobs]) as ahead:

            def judge_compiled(job: Job) -> Verdict:
                ahead.wait_for(job)
                return judge.judge(at_home(job, dataset))

            for line in judge_folder(folder, jobs, judge_compiled):
                verdicts.write(line + "\n")
                verdicts.flush()
    finally:
        judge.close()


def judge_folder(folder: Path, jobs: Sequence[tuple[Path, Job]], judge: Callable[[Job], Verdict]) -> Iterator[str]:
    """Judge the jobs, then the promotions that better candidates of the folder were offered; a line on each."""
    for path, job in jobs:
        verdict = judge(job)
        _write_verdict(path, verdict.model_dump_json() + "\n")
        yield printable(f"{path.name}: {verdict.status}")
    while (promotion := next_promotion(folder)) is not None:
        path = folder / f"{file_name(promotion)}{JOB_SUFFIX}"
        verdict = judge(promotion)
        write_whole(path, promotion.model_dump_json())
        _write_verdict(path, verdict.model_dump_json() + "\n")
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
        if _judged(path):
            verdict = Verdict.model_validate_json(read_text(verdict_path(path), MAX_JSON_BYTES))
            judged.append(Judged(read_job(path, None), verdict))
    return next_offer(judged)


def verdict_path(job_path: Path) -> Path:
    return job_path.with_name(job_path.name.removesuffix(JOB_SUFFIX) + VERDICT_SUFFIX)


def _judged(job_path: Path) -> bool:
    """Raises BadInput where something else than a verdict has its name."""
    path = verdict_path(job_path)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise BadInput(printable(f"{path}: is no plain file"))
    return path.exists()


def _write_verdict(job_path: Path, text: str) -> None:
    """Raises Unavailable: what was judged before stays, and the next call goes on from there."""
    try:
        write_whole(verdict_path(job_path), text)
    except OSError as error:
        raise Unavailable(f"{verdict_path(job_path)}: {error.strerror}; the verdicts before it are written, run it again") from error


def read_job(path: Path, seed: int | None) -> Job:
    """Raises BadInput, for links and special files before they are read."""
    try:
        job = Job.model_validate_json(read_text(path, MAX_JSON_BYTES))
    except ValidationError as error:
        raise BadInput(printable(f"{path} is no job: {first_problem(error)}")) from error
    return job if seed is None else job.model_copy(update={"seed": seed})


def write_whole(path: Path, text: str) -> None:
    """The file appears with all its text or not at all; nothing that stands in the folder already is written through."""
    partial = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with open(partial, "x", encoding="utf-8") as file:
            file.write(text)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
