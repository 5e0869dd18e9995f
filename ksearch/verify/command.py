"""`ksearch verify`: judge, print, exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from ksearch.errors import BadInput
from ksearch.evaluators.base import Evaluator
from ksearch.evaluators.local import LocalEvaluator
from ksearch.verify.cases import Case, Options, case_of_run, cases_of
from ksearch.verify.outcome import Verified, exit_code, lines_of, verified


def verify(paths: Sequence[Path], run: str | None, runs_dir: Path | None, options: Options, *, as_json: bool) -> int:
    """Exit code. Raises BadInput before anything is judged."""
    if bool(paths) == (run is not None):
        raise BadInput("verify: give solutions, or --run RUN for a run's incumbent" + (", not both" if paths else ""))
    cases = cases_of(paths, options) if run is None else [case_of_run(run, runs_dir, options)]
    outcomes = []
    with closing(LocalEvaluator(cases[0].job.device)) as evaluator:
        for outcome in judged(cases, evaluator):
            outcomes.append(outcome)
            if not as_json:
                sys.stdout.write("\n".join(lines_of(outcome)) + "\n")
                sys.stdout.flush()
    if as_json:
        sys.stdout.write(json.dumps([outcome.model_dump(mode="json") for outcome in outcomes]) + "\n")
    return exit_code(outcomes)


def judged(cases: Sequence[Case], evaluator: Evaluator) -> Iterator[Verified]:
    """In the order given; all are handed over at once, so that the next compiles while one is measured."""
    waiting = [(case, evaluator.submit(case.job)) for case in cases]
    for case, future in waiting:
        yield verified(case, future.result())
