"""A run as a stranger might write it: every text that a page could show tries to be more than text."""

from __future__ import annotations

import random
import re
from pathlib import Path

from ksearch.definitions.schema import BuildSpec, Solution, SourceFile
from ksearch.judge.verdict import JUDGE_VERSION, Evidence, Stage, Status, Verdict, WorkloadResult
from ksearch.settings import Settings
from ksearch.store.events import (
    CandidateWritten,
    EvaluationSettled,
    EvaluationStarted,
    IncumbentChanged,
    Opened,
    RootSettled,
    RunCreated,
)
from ksearch.store.journal import Journal
from ksearch.store.log import EventLog
from ksearch.tree.types import Action, Failed, Measured, Propose, Proposed

MARK = "pwned"
SCRIPT = f"</script><script>window.{MARK}=1</script>"
TEXTS = (
    SCRIPT, f"<img src=x onerror='window.{MARK}=1'>", f"<svg onload=window.{MARK}=1>", f'" onmouseover="window.{MARK}=1', "<!--<script>",
    "]]>", "{{data}}", "\u2028window.pwned=1\u2029", "\u202e\u2066reversed\u2069", "\x1b[31mred\x1b]8;;http://example.invalid\x07link\x1b]8;;\x07",
    "javascript:window.pwned=1", "\x9b31m", "\x00", "&lt;b&gt;", "</style><style>*{display:none}</style>", "\ufeffzero\u200bwidth",
)  # fmt: skip
ALL = " ".join(TEXTS)


def make_hostile_run(folder: Path) -> None:
    settings = Settings(definition=ALL)
    with EventLog.create(folder / "hostile" / "run.sqlite") as log:
        header = RunCreated(
            run=f"../../{ALL}", ksearch_version=ALL, judge_version=JUDGE_VERSION,
            settings=log.put_blob(settings.model_dump_json().encode()), definition="", definition_name=ALL, workloads="", subset="",
            baseline=None, start=None, seed=0, device=ALL, device_name=ALL, family=ALL,
        )  # fmt: skip
        journal = Journal.create(log, header, settings)
        environment = dict.fromkeys((ALL, "__proto__", "constructor", "$columns", "$lines"), ALL)
        journal.record(Opened(pid=1, resumed=False, environment=environment))
        journal.record(_written(log, 0, None, 0, "root"), EvaluationStarted(candidate=0, kind="promote", gpu_seconds=0.0))
        journal.record(_passed(log, 0, "promote", 0.5), RootSettled(candidate=0, reward=0.5, sigma_noise=0.01))
        journal.record(IncumbentChanged(candidate=0, latency_us=1.0, baseline_us=2.0))
        _search(journal, log)


def _search(journal: Journal, log: EventLog) -> None:
    """The real tree, with what it is told: kernels of even number pass, the others fail."""
    tree, rng = journal.state.tree, random.Random(0)
    assert tree is not None
    while len(journal.state.candidates) < 6:
        asked = tree.ask(1, rng)
        journal.record_changes(asked.changes, gpu_seconds=0.0)
        for ticket in asked.tickets:
            if isinstance(ticket, Propose):
                actions = tuple(_action(f"{ALL} {ticket.ticket} {count}") for count in range(ticket.count))
                journal.record_changes(tree.tell(ticket.ticket, Proposed(actions)))
                continue
            number = len(journal.state.candidates)
            reward = 0.5 + number / 10 if number % 2 == 0 else None
            written = _written(log, number, ticket.ticket, ticket.node, f"{ALL} {number}")
            journal.record(written, _failed(log, number) if reward is None else _passed(log, number, "evaluate", reward))
            journal.record_changes(tree.tell(ticket.ticket, Failed("compile") if reward is None else Measured(reward)))


def _action(technique: str) -> Action:
    return Action(technique, ALL, ALL, ALL, 0.2, 0.1, 0.5, 1, ALL, regime=ALL)


def _written(log: EventLog, candidate: int, ticket: int | None, node: int, line: str) -> CandidateWritten:
    spec = BuildSpec(language="cuda", target_hardware=("cuda",), entry_point=f"{SCRIPT}.cu::run")
    text = re.sub("[\x00\u202e\u2066\u2069]", "", f"{line}\nsame\n{ALL}\nlast")  # which no source may hold
    solution = Solution(name=SCRIPT, definition="d", author="a", spec=spec, sources=(SourceFile(path=f"{SCRIPT}.cu", content=text),))
    blob = log.put_blob(solution.model_dump_json().encode())
    return CandidateWritten(
        candidate=candidate, ticket=ticket, node=node, solution=blob, digest=f"{candidate:064d}", name=ALL, language=ALL, origin=ALL
    )


def _passed(log: EventLog, candidate: int, kind: str, reward: float) -> EvaluationSettled:
    rows = tuple(WorkloadResult(uuid=ALL, regime=f"{ALL} {i}", weight=0.5, latency_us=1.0 + i, baseline_us=2.0) for i in range(2))
    verdict = Verdict(job="j", solution="s", status=Status.PASSED, workloads=rows, timer=ALL, isolation=(ALL,))
    return EvaluationSettled(
        candidate=candidate, kind=kind, verdict=log.put_blob(verdict.model_dump_json().encode()), status="PASSED", stage=None,  # type: ignore[arg-type]
        message=None, reward=reward, latency_us=1.0, baseline_us=2.0, paired_gain=None, promoted=kind == "promote", device_seconds=1.0,
        wall_seconds=1.0,
    )  # fmt: skip


def _failed(log: EventLog, candidate: int) -> EvaluationSettled:
    evidence = Evidence(message=ALL, workload=ALL, element=ALL, log=f"{ALL}\n{ALL}", reproduce=f"ksearch evaluate {ALL}")
    verdict = Verdict(job="j", solution="s", status=Status.COMPILE_ERROR, stage=Stage.COMPILE, evidence=evidence)
    return EvaluationSettled(
        candidate=candidate, kind="evaluate", verdict=log.put_blob(verdict.model_dump_json().encode()), status="COMPILE_ERROR",
        stage="compile", message=ALL, reward=None, latency_us=None, baseline_us=None, paired_gain=None, promoted=False,
        device_seconds=1.0, wall_seconds=1.0,
    )  # fmt: skip
