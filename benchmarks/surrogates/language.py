"""The language-model forecaster on a stratified sample of measured kernels, every question and answer kept.

    python benchmarks/surrogates/language.py prompts FOLDER benchmarks/landscapes/*.mean.landscape.json.xz
    python benchmarks/surrogates/language.py ask OUT.jsonl.xz LANDSCAPES --model anthropic:claude-haiku-5-5 [--url URL]
    python benchmarks/surrogates/language.py ask OUT.jsonl.xz LANDSCAPES --answers FOLDER --as NAME
    python benchmarks/surrogates/language.py score OUT.jsonl.xz LANDSCAPES

The sample is drawn from the walks that the other forecasters are scored on. What was met first is measured and gives the
anchors, three to a question; what comes later is asked about, grouped by parent, so that the pairs of one landscape fall
evenly into the bands of distance, and failures are there where the landscape has them. `prompts` writes each question as text,
outcomes nowhere in it, for whoever answers by hand: ANSWER.json beside it holds what the question's last lines ask for.
`ask` puts the same questions through the program's own provider code, with a folder of such answers through its `command:` one.
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
import shlex
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any

from ksearch.forecasting.model import AskedModel
from ksearch.forecasting.outcomes import Source, load_sources, unjudged
from ksearch.landscapes.landscape import load
from ksearch.llm.command import prompt_of
from ksearch.llm.desk import Desk, Intent, Opening, Settlement
from ksearch.llm.setup import asker_of
from ksearch.llm.types import Request, Role
from ksearch.settings import Settings
from ksearch.surrogates.calibration import Judged
from ksearch.surrogates.language import TOGETHER, LanguageModel, anchors
from ksearch.surrogates.quantities import PAIR_BANDS, noise_band
from ksearch.surrogates.scores import auroc, score
from ksearch.surrogates.trust import Record
from ksearch.surrogates.types import Forecast, Sample

KNOWN = 40
"""Points of each walk that count as measured when the questions begin."""
QUESTIONS = 7
"""Of each landscape, of up to four candidates."""
FAILING_SHARE = 0.35
"""Of the candidates of a landscape that has failures, about."""
UNSURE = ("INCORRECT_NUMERICAL",)
"""Points refused at these were refused for a tolerance that was too tight by then: nobody can be asked to foresee that."""


@dataclass(frozen=True)
class Question:
    """Candidates of one parent, and the measured candidates that the prompt shows."""

    source: Source
    group: tuple[Sample, ...]
    anchors: tuple[Sample, ...]

    @property
    def name(self) -> str:
        return f"{self.source.name}.{self.group[0].parent[:8] if self.group[0].parent else ''}.{self.group[0].candidate[:8]}"


# ---------------------------------------------------------------------- the sample


def questions(sources: Sequence[Source]) -> tuple[Question, ...]:
    return tuple(question for source in sources for question in _questions(source))


def _questions(source: Source) -> Iterator[Question]:
    known, later = source.samples[:KNOWN], source.samples[KNOWN:]
    groups = [group for group in _groups(later) if len(group) > 1]
    chosen: list[tuple[Sample, ...]] = []
    while groups and len(chosen) < QUESTIONS:
        best = max(groups, key=lambda group: (_worth(source, chosen, group), group[0].candidate))
        groups.remove(best)
        chosen.append(best)
    for group in chosen:
        yield Question(source, group, anchors(group[0], known))


def _groups(samples: Sequence[Sample]) -> list[tuple[Sample, ...]]:
    by_parent: dict[str | None, list[Sample]] = {}
    for sample in samples:
        if sample.passed is not None and sample.parent_reward is not None:
            by_parent.setdefault(sample.parent, []).append(sample)
    return [tuple(members[:TOGETHER]) for members in by_parent.values()]


def _worth(source: Source, chosen: Sequence[Sequence[Sample]], group: Sequence[Sample]) -> float:
    """How evenly the sample would fall into bands and failures, and how many candidates the group brings."""
    together = [sample for members in (*chosen, group) for sample in members]
    rewards = [sample.reward for sample in together if sample.reward is not None]
    failing = sum(sample.reward is None for sample in together) / len(together)
    band = noise_band(source.sigma_noise)
    counts = [0] * len(PAIR_BANDS)
    for a, b in combinations(rewards, 2):
        for index, (_, low, high) in enumerate(PAIR_BANDS):
            counts[index] += max(low, band) < abs(a - b) <= high
    total = sum(counts) or 1
    evenness = -sum(count / total * math.log(max(count, 1) / total) for count in counts) / math.log(len(counts))
    has_failures = any(sample.reward is None for sample in source.samples)
    return evenness + 0.1 * len(group) - (2.0 * abs(failing - FAILING_SHARE) if has_failures else 0.0)


def sampled(paths: Sequence[str]) -> tuple[Question, ...]:
    sources = load_sources(paths, None)
    return questions([_without_unsure(source, path) for source, path in zip(sources, paths, strict=True)])


def _without_unsure(source: Source, path: str) -> Source:
    """Nor with compile reports: a run has none of a candidate that it forecasts."""
    wrong = {point.code for point in load(Path(path)).points if point.status in UNSURE}
    return replace(source, samples=tuple(replace(one, compiled=None) for one in source.samples if one.candidate not in wrong))


# ---------------------------------------------------------------------- asking


@dataclass
class OpenDesk(Desk):
    """Lets every call through and keeps it: a benchmark has no run to book it in."""

    kept: list[tuple[Request, Settlement]] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def open(self, intent: Intent) -> Opening:
        with self._lock:
            self.intents.append(intent)
            return Opening(len(self.intents) - 1)

    def settle(self, settlement: Settlement) -> None:
        with self._lock:
            self.kept.append((self.intents[settlement.call].request, settlement))


def asked(question: Question, model: AskedModel, samples: int) -> tuple[Forecast | None, ...]:
    forecaster = LanguageModel(model, samples)
    for anchor in question.anchors:
        forecaster.learn(anchor)
    return forecaster.forecast_many([unjudged(sample) for sample in question.group])


def model_for(name: str, url: str | None, desk: OpenDesk) -> AskedModel:
    llm: dict[str, Any] = {"surrogate_model": name, "anthropic_url": url, "tries": 3}
    return AskedModel(asker_of(Settings.model_validate({"definition": "", "llm": llm}).llm, (Role.SURROGATE,), desk))


class Written(Exception):
    """The request has been seen."""


class Listening(OpenDesk):
    """Takes the request and lets nobody answer."""

    def open(self, intent: Intent) -> Opening:
        self.intents.append(intent)
        raise Written


def request_of(question: Question) -> Request:
    desk = Listening()
    try:
        asked(question, model_for("command:true", None, desk), 1)
    except Written:
        return desk.intents[0].request
    raise AssertionError("nothing was asked")


def write_prompts(folder: Path, sample: Sequence[Question]) -> None:
    for number, question in enumerate(sample):
        place = folder / f"{number:02d}"
        place.mkdir(parents=True, exist_ok=True)
        (place / "PROMPT.md").write_text(prompt_of(request_of(question)))
    print(f"{len(sample)} questions about {sum(len(question.group) for question in sample)} candidates in {folder}")


def ask(out: Path, sample: Sequence[Question], options: argparse.Namespace) -> None:
    rows = []
    for number, question in enumerate(sample):
        desk = OpenDesk()
        name = options.model
        if options.answers is not None:
            reader = (
                "import pathlib, sys; p, a = map(pathlib.Path, sys.argv[1:]); "
                "sys.exit('another question') if sys.stdin.read() != p.read_text() else print(a.read_text())"
            )
            place = options.answers / f"{number:02d}"
            name = "command:" + shlex.join([sys.executable, "-c", reader, str(place / "PROMPT.md"), str(place / "ANSWER.json")])
        said = asked(question, model_for(name, options.url, desk), options.samples)
        rows.append(row_of(question, said, desk, options.name or options.model))
        print(f"{question.name}: {[None if one is None else round(one.d50, 3) for one in said]}", flush=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    out.write_bytes(lzma.compress(text.encode(), preset=9))


def row_of(question: Question, said: Sequence[Forecast | None], desk: OpenDesk, name: str) -> Mapping[str, Any]:
    calls = [
        {
            "prompt": request.text(),
            "answer": None if settlement.reply is None else settlement.reply.text or [asdict(call) for call in settlement.reply.calls],
            "usage": asdict(settlement.usage), "usd": str(Decimal(settlement.usd)), "estimated": settlement.estimated,
        }
        for request, settlement in desk.kept
    ]  # fmt: skip
    return {
        "model": name, "landscape": question.source.name, "definition": question.source.definition,
        "parent": question.group[0].parent, "anchors": [anchor.candidate for anchor in question.anchors],
        "candidates": [sample.candidate for sample in question.group],
        "forecasts": [None if one is None else asdict(one) for one in said], "calls": calls,
    }  # fmt: skip


# ---------------------------------------------------------------------- scoring


def read(path: Path) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in lzma.decompress(path.read_bytes()).decode().splitlines()]


def records(rows: Sequence[Mapping[str, Any]], sources: Mapping[str, Source]) -> Mapping[str, Record]:
    """By landscape, in the order of the questions: each forecast calibrated by the outcomes of the questions before it."""
    found: dict[str, Record] = {}
    for row in rows:
        source = sources[row["landscape"]]
        record = found.setdefault(source.name, Record(source.sigma_noise))
        known = {sample.candidate: sample for sample in source.samples}
        for code, said in zip(row["candidates"], row["forecasts"], strict=True):
            sample = known[code]
            assert sample.parent_reward is not None
            record.learn(Forecast(**said), sample.parent_reward, bool(sample.passed), sample.reward)
    return found


def print_scores(path: Path, paths: Sequence[str]) -> None:
    """Each landscape's, then all together: pairs within a landscape, failures and intervals over all. `raw` is the order of the
    forecasts as they were answered; calibration shifts those of one question together."""
    rows = read(path)
    sources = {source.name: source for source in load_sources(paths, None)}
    by_landscape = records(rows, sources)
    pooled: dict[str, list[tuple[float, int]]] = {}
    for name, record in by_landscape.items():
        noise = sources[name].sigma_noise
        scores, raw = (score(judged, noise, least=4) for judged in (record.judged, [as_answered(one) for one in record.judged]))
        shares = {"pairwise": (scores.pairwise, scores.pairs), "raw pairwise": (raw.pairwise, raw.pairs)}
        shares |= {band: (right, pairs) for band, right, pairs in scores.by_distance}
        shares |= {f"raw {band}": (right, pairs) for band, right, pairs in raw.by_distance}
        shares["80 % intervals hold"] = scores.coverage, scores.passing
        for what, (right, count) in shares.items():
            if right is not None:
                pooled.setdefault(what, []).append((right, count))
        print(f"{name}: {_text(shares)}; Spearman {scores.spearman or math.nan:.2f}")
    together = {what: (sum(right * count for right, count in part) / sum(count for _, count in part), sum(count for _, count in part))
                for what, part in pooled.items()}  # fmt: skip
    everyone = [one for record in by_landscape.values() for one in record.judged]
    print(f"all, as {rows[0]['model']}: {_text(together)}; AUROC {auroc([as_answered(one) for one in everyone])}")


def as_answered(one: Judged) -> Judged:
    return replace(one, said=one.raw)


def _text(shares: Mapping[str, tuple[float | None, int]]) -> str:
    return ", ".join(f"{what} {right:.1%} ({count})" for what, (right, count) in shares.items() if right is not None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("prompts", "ask", "score"))
    parser.add_argument("place", type=Path)
    parser.add_argument("landscapes", nargs="+")
    parser.add_argument("--model")
    parser.add_argument("--url")
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--as", dest="name")
    parser.add_argument("--samples", type=int, default=1)
    options = parser.parse_args()
    if options.what == "score":
        print_scores(options.place, options.landscapes)
    elif options.what == "prompts":
        write_prompts(options.place, sampled(options.landscapes))
    else:
        ask(options.place, sampled(options.landscapes), options)


if __name__ == "__main__":
    main()
