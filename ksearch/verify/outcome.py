"""What a verification came to: one record for a script, a few lines for a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from ksearch.briefing.verdicts import compiler_text
from ksearch.judge.verdict import CompileReport, Stage, Status, Verdict, WorkloadResult
from ksearch.verify.cases import Case

LOG_LINES = 20


class _Out(BaseModel):
    model_config = ConfigDict(frozen=True)


class Proof(_Out):
    """Why to believe the status. `log` is what the candidate or its compiler printed: data, not fact."""

    message: str | None
    workload: str | None
    element: str | None
    log: str
    seed: int | None
    reproduce: str | None
    isolation: tuple[str, ...]
    resolution_us: float | None
    noise_ln: float | None
    timer: str | None
    device: str | None
    hidden: str
    libraries: tuple[str, ...]
    judge_version: str


class Verified(_Out):
    """One element of `ksearch verify --json`. `latency_us` is the weighted mean over the workloads, None unless it passed.

    With `--run`: `recorded_us` is what the run says, `moved` is latency over that less one (0.02: two per cent slower now); None
    where another timer was used, since numbers of two timers are never compared.
    """

    solution: str
    definition: str
    status: Status
    stage: Stage | None
    latency_us: float | None
    baseline_us: float | None
    evidence: Proof
    compile: CompileReport | None = None
    """Registers, spills, shared memory, matrix-unit instructions of each kernel, as far as the compiler tells."""
    workloads: tuple[WorkloadResult, ...]
    recorded_us: float | None = None
    moved: float | None = None


def verified(case: Case, verdict: Verdict) -> Verified:
    passed = verdict.status is Status.PASSED
    latency = mean_latency(verdict) if passed else None
    recorded = None if case.recorded is None else case.recorded.latency_us
    baselines = [(row.weight, row.baseline_us) for row in verdict.workloads if row.baseline_us is not None]
    whole = passed and len(baselines) == len(verdict.workloads)
    return Verified(
        solution=case.name,
        definition=case.job.definition.name,
        status=verdict.status,
        stage=verdict.stage,
        latency_us=latency,
        baseline_us=_weighted(baselines) if whole else None,
        evidence=_proof(verdict),
        compile=verdict.compile,
        workloads=verdict.workloads,
        recorded_us=recorded,
        moved=_moved(case, verdict, latency),
    )


def _moved(case: Case, verdict: Verdict, latency: float | None) -> float | None:
    if case.recorded is None or latency is None or case.recorded.timer != verdict.timer:
        return None
    return latency / case.recorded.latency_us - 1


def mean_latency(verdict: Verdict) -> float:
    """Microseconds over the workloads of a passed verdict, by their weights."""
    return _weighted([(row.weight, row.latency_us) for row in verdict.workloads if row.latency_us is not None])


def _weighted(values: Sequence[tuple[float, float]]) -> float:
    return sum(weight * value for weight, value in values) / sum(weight for weight, _ in values)


def _proof(verdict: Verdict) -> Proof:
    found = verdict.evidence
    return Proof(
        message=None if found is None else found.message,
        workload=None if found is None else found.workload,
        element=None if found is None else found.element,
        log="" if found is None else found.log,
        seed=None if found is None else found.seed,
        reproduce=None if found is None else found.reproduce,
        isolation=verdict.isolation,
        resolution_us=verdict.resolution_us,
        noise_ln=verdict.noise_ln,
        timer=verdict.timer,
        device=None if verdict.device is None else verdict.device.name,
        hidden=verdict.hidden,
        libraries=verdict.libraries,
        judge_version=verdict.judge_version,
    )


def exit_code(outcomes: Sequence[Verified]) -> int:
    """0: all passed; 1: a solution was rejected; 4: none was, but the machine could not judge one."""
    if any(outcome.status not in (Status.PASSED, Status.INFRASTRUCTURE) for outcome in outcomes):
        return 1
    return 4 if any(outcome.status is Status.INFRASTRUCTURE for outcome in outcomes) else 0


def lines_of(outcome: Verified) -> Iterator[str]:
    """For a person. What a candidate had a hand in is stripped of control characters: it is going to a terminal."""
    yield f"{printable(outcome.solution)}  {outcome.definition}: {_headline(outcome)}"
    proof = outcome.evidence
    rows = {
        "why": proof.message, "workload": proof.workload, "element": proof.element, "seen again by": proof.reproduce,
        "isolation": ", ".join(proof.isolation) or None, "libraries": ", ".join(proof.libraries) or None,
        "compiled": None if outcome.compile is None else compiler_text(outcome.compile), "measured": _measured(outcome),
    }  # fmt: skip
    for name, value in rows.items():
        if value:
            yield f"  {name:<13} {printable(value)}"
    if outcome.status is not Status.PASSED and proof.log.strip():
        yield "  printed (the candidate's or its compiler's own words):"
        yield from (f"    | {printable(line)}" for line in proof.log.strip().splitlines()[-LOG_LINES:])


def _headline(outcome: Verified) -> str:
    if outcome.latency_us is None:
        return f"{outcome.status}" + ("" if outcome.stage is None else f" at {outcome.stage}")
    speed = "" if outcome.baseline_us is None else f", {outcome.baseline_us / outcome.latency_us:.2f}x its baseline"
    return f"PASSED, {outcome.latency_us:.2f} us over {len(outcome.workloads)} workloads{speed}{_against_the_record(outcome)}"


def _against_the_record(outcome: Verified) -> str:
    if outcome.recorded_us is None:
        return ""
    if outcome.moved is None:
        return f"; the run recorded {outcome.recorded_us:.2f} us by another timer, which says nothing here"
    return f"; the run recorded {outcome.recorded_us:.2f} us, it moved by {outcome.moved:+.1%}"


def _measured(outcome: Verified) -> str | None:
    proof = outcome.evidence
    if proof.timer is None:
        return None
    noise = "" if proof.noise_ln is None else f", noise {proof.noise_ln:.1%}"
    resolution = "" if proof.resolution_us is None else f", resolution {proof.resolution_us:.3g} us"
    return f"on {proof.device}, timer {proof.timer}{resolution}{noise}, hidden workloads: {proof.hidden}"


def printable(text: str) -> str:
    """The text without what would move a terminal's cursor or colour it."""
    return "".join(character if character.isprintable() else "?" for character in text.replace("\t", "    "))
