"""`ksearch attack`: the corpus against the judge that is installed here."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import closing

from ksearch.attack.corpus_files import Entry, corpus
from ksearch.attack.coverage import coverage, line_of, table
from ksearch.attack.hacks import HACKS
from ksearch.attack.trial import Outcome, Result, Trials
from ksearch.devices import resolve
from ksearch.errors import BadInput
from ksearch.evaluators.local import LocalEvaluator

COMPILERS = {"cpu": 2, "cuda": 12}
HONEST = "honest"


def attack(device: str, only: Sequence[str], *, as_json: bool) -> int:
    """Exit code: 0, 1 when a cheat gained or an honest kernel was refused, 4 when the machine couldn't judge. Raises BadInput."""
    wanted = [name if name == HONEST else name.upper() for name in only]
    if unknown := [name for name in wanted if name not in HACKS and name != HONEST]:
        raise BadInput(f"--only {unknown[0]}: give H01 to H48, or honest")
    spec = resolve(device).spec
    kind = spec.partition(":")[0]
    chosen = [entry for entry in corpus() if kind in entry.devices and (not wanted or (entry.hack or HONEST) in wanted)]
    results = _tried(chosen, spec, COMPILERS[kind], quiet=as_json)
    rows = coverage(results, spec, wanted)
    if as_json:
        sys.stdout.write(json.dumps([row.model_dump(mode="json") for row in rows]) + "\n")
    else:
        sys.stdout.write("\n".join(["", *table(rows), _sum(results)]) + "\n")
    if any(result.fault for result in results):
        return 1
    return 4 if any(result.outcome is Outcome.NOT_JUDGED for result in results) else 0


def _tried(entries: Sequence[Entry], device: str, compilers: int, *, quiet: bool) -> list[Result]:
    results = []
    with closing(LocalEvaluator(device, compilers)) as evaluator:
        for result in Trials(evaluator, device, corpus()).run(entries):
            results.append(result)
            if not quiet:
                sys.stdout.write(line_of(result) + "\n")
                if result.fault or result.outcome is Outcome.NOT_JUDGED or not result.expected:
                    evidence = result.verdict.evidence
                    sys.stdout.write("" if evidence is None else f"        {evidence.message[:400]}\n")
                sys.stdout.flush()
    return results


def _sum(results: Sequence[Result]) -> str:
    gained = sum(result.outcome is Outcome.GAINED for result in results)
    wronged = sum(result.outcome is Outcome.WRONGED for result in results)
    surprising = sum(not result.expected for result in results)
    return f"{len(results)} kernels: {gained} gained, {wronged} honest ones refused, {surprising} ended otherwise than the corpus expects"
