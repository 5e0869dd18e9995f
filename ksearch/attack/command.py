"""`ksearch attack`: the corpus against the judge that is installed here."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from typing import TextIO

from ksearch.attack.corpus_files import Entry, corpus
from ksearch.attack.coverage import coverage, line_of, table
from ksearch.attack.hacks import HACKS
from ksearch.attack.trial import Outcome, Result, Trials
from ksearch.devices import resolve
from ksearch.errors import BadInput
from ksearch.evaluators.local import LocalEvaluator

COMPILERS = {"cpu": 2, "cuda": 12}
HONEST = "honest"


def attack(device: str, only: Sequence[str], *, as_json: bool, time_limit_s: float | None = None, shard: str = "1/1") -> int:
    """Exit code: 0, 1 when a cheat gained or an honest kernel was refused, 4 when the machine couldn't judge or the time ran out.

    A line for each kernel as it is done, on standard error where standard output is to be JSON. `shard` 2/4 is the second quarter of
    the kernels, for several devices at once. Raises BadInput.
    """
    wanted = [name if name == HONEST else name.upper() for name in only]
    if unknown := [name for name in wanted if name not in HACKS and name != HONEST]:
        raise BadInput(f"--only {unknown[0]}: give H01 to H48, or honest")
    spec = resolve(device).spec
    kind = spec.partition(":")[0]
    chosen = [entry for entry in corpus() if kind in entry.devices and (not wanted or (entry.hack or HONEST) in wanted)]
    place, shards = _shard(shard)
    chosen = chosen[place - 1 :: shards]
    deadline = None if time_limit_s is None else time.monotonic() + time_limit_s
    results = _tried(chosen, spec, COMPILERS[kind], deadline, sys.stderr if as_json else sys.stdout)
    rows = coverage(results, spec, wanted, chosen)
    if shards > 1:  # what the others try is theirs to tell
        rows = [row for row in rows if row.spellings or any((entry.hack or HONEST) == row.hack for entry in chosen)]
    if as_json:
        sys.stdout.write(json.dumps([row.model_dump(mode="json") for row in rows]) + "\n")
    else:
        sys.stdout.write("\n".join(["", *table(rows), _sum(results, len(chosen))]) + "\n")
    if any(result.fault for result in results):
        return 1
    whole = len(results) == len(chosen) and all(result.outcome is not Outcome.NOT_JUDGED for result in results)
    return 0 if whole else 4


def _shard(text: str) -> tuple[int, int]:
    place, _, shards = text.partition("/")
    if not (place.isdecimal() and shards.isdecimal() and 1 <= int(place) <= int(shards)):
        raise BadInput(f"--shard {text}: give K/N, K from 1 to N")
    return int(place), int(shards)


def _tried(entries: Sequence[Entry], device: str, compilers: int, deadline: float | None, out: TextIO) -> list[Result]:
    results = []
    with closing(LocalEvaluator(device, compilers)) as evaluator:
        for result in Trials(evaluator, device, corpus(), deadline).run(entries):
            results.append(result)
            out.write(line_of(result) + "\n")
            if result.fault or result.outcome is Outcome.NOT_JUDGED or not result.expected:
                evidence = result.verdict.evidence
                out.write("" if evidence is None else f"        {evidence.message[:400]}\n")
            out.flush()
    return results


def _sum(results: Sequence[Result], asked: int) -> str:
    gained = sum(result.outcome is Outcome.GAINED for result in results)
    wronged = sum(result.outcome is Outcome.WRONGED for result in results)
    surprising = sum(not result.expected for result in results)
    told = f"{gained} gained, {wronged} honest ones refused, {surprising} ended otherwise than the corpus expects"
    rest = "" if len(results) == asked else f"; {asked - len(results)} not run: the time was up"
    return f"{len(results)} kernels: {told}{rest}"
