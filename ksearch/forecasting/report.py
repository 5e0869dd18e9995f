"""`ksearch surrogate score` and `tune`: the figures as tables or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ksearch.errors import BadInput
from ksearch.forecasting.outcomes import Source, held_out, load_sources, named_forecaster, replayed
from ksearch.forecasting.plots import save_scores, save_tuning
from ksearch.surrogates.scores import Scores, score
from ksearch.surrogates.trust import Record
from ksearch.surrogates.tuning import Replayed, TooFewOutcomes, Tuned, tune

RECORDED = "recorded"
"""The forecasts that the run itself made, in place of a forecaster that is replayed over it."""


def print_scores(
    names: Sequence[str],
    runs_dir: Path | None,
    *,
    forecasters: Sequence[str],
    alone: bool,
    most: int | None,
    as_json: bool,
    plot: Path | None = None,
) -> None:
    sources = load_sources(names, runs_dir, most)
    rows = [(source, name, *_scored(source, name, sources, alone)) for source in sources for name in _names(source, forecasters)]
    if plot is not None:
        save_scores(plot, [(f"{source.name}, {name}", scores, record.judged) for source, name, scores, record in rows])
    if as_json:
        print(json.dumps([_score_record(*row) for row in rows]))  # noqa: T201
        return
    sys.stdout.write("\n".join(line for row in rows for line in score_lines(*row)) + "\n")


def _names(source: Source, forecasters: Sequence[str]) -> Sequence[str]:
    if forecasters:
        return forecasters
    return (RECORDED,) if source.record is not None and source.record.judged else ("statistical",)


def _scored(source: Source, name: str, sources: Sequence[Source], alone: bool) -> tuple[Scores, Record]:
    record = _record(source, name, sources, alone)
    try:
        return score(record.judged, source.sigma_noise), record
    except TooFewOutcomes as error:
        raise BadInput(f"{source.name}: {error}") from error


def _record(source: Source, name: str, sources: Sequence[Source], alone: bool) -> Record:
    if name != RECORDED:
        return replayed(named_forecaster(name), source, () if alone else held_out(source, sources))
    if source.record is None:
        raise BadInput(f"{source.name}: it made no forecasts; name a forecaster to replay over it, --forecaster statistical")
    return source.record


def _score_record(source: Source, name: str, scores: Scores, record: Record) -> Mapping[str, Any]:
    return {
        "source": source.name, "definition": source.definition, "device": source.device, "forecaster": name,
        "trusted": record.standing.trusted, "standing": record.standing.reason, **asdict(scores), "spending": asdict(source.spending),
    }  # fmt: skip


def score_lines(source: Source, name: str, scores: Scores, record: Record) -> Iterator[str]:
    yield f"{source.name}: {name}, {scores.outcomes} outcomes ({scores.passing} passed) on {source.device}"
    order = f"pairwise {_share(scores.pairwise, 1)} of {scores.pairs} pairs, Spearman {_number(scores.spearman)}"
    yield f"  order       {order}, of gains {_number(scores.gain_spearman)}"
    yield "  by distance " + ", ".join(f"{band} {_share(right)} ({pairs})" for band, right, pairs in scores.by_distance)
    yield f"  failures    AUROC {_number(scores.auroc)}, Brier {scores.brier:.3f}, calibration error {scores.calibration_error:.3f}"
    yield f"  rewards     CRPS {_number(scores.crps)} nats, 80 % intervals hold {_share(scores.coverage)}"
    yield "  measured    " + "".join(f"{row.share:>8.0%}" for row in scores.shares)
    yield "    regret    " + "".join(f"{_share(row.regret, 1):>8}" for row in scores.shares)
    yield "    recall    " + "".join(f"{_share(row.recall):>8}" for row in scores.shares)
    yield "    risk      " + "".join(f"{_number(row.risk):>8}" for row in scores.shares)
    yield f"  standing    {'trusted' if record.standing.trusted else 'not trusted'}: {record.standing.reason}"
    spent = source.spending
    if name == RECORDED:
        yield (
            f"  cost        {spent.tokens} tokens, {spent.usd:.2f} USD, {spent.malformed} malformed answers; "
            f"{spent.unmeasured} candidates unmeasured, about {spent.gpu_seconds_saved:.0f} GPU-seconds saved"
        )
    yield ""


def print_tuning(
    names: Sequence[str], runs_dir: Path | None, *, forecaster: str | None, as_json: bool, plot: Path | None = None
) -> None:
    sources = load_sources(names, runs_dir)
    records = [_record(source, forecaster or _names(source, ())[0], sources, False) for source in sources]
    judged = [one for record in records for one in record.judged]
    noise = max((source.sigma_noise for source in sources), default=0.02)
    try:
        tuned = tune(judged, sigma_noise=noise)
    except TooFewOutcomes as error:
        raise BadInput(f"{', '.join(names)}: {error}") from error
    if plot is not None:
        save_tuning(plot, tuned)
    if as_json:
        print(json.dumps(asdict(tuned)))  # noqa: T201
        return
    sys.stdout.write("\n".join(tuning_lines(tuned)) + "\n")


def tuning_lines(tuned: Tuned) -> Iterator[str]:
    """One row for each setting; all had the same number of measurements."""
    yield f"{tuned.outcomes} outcomes ({tuned.audits} of them audits of a filtered part); every setting measured equally many"
    yield "  budget  skip below  audits  considered  measured   best is slower by      misses the best"
    for row in tuned.rows:
        mark = "*" if row is tuned.recommended else " "
        setting = row.setting
        yield (
            f"{mark} {setting.budget:6.0%}  {setting.hope:10.0%}  {setting.audits:6.0%}  {row.considered:10.0f}  {row.measured:8.0f}"
            f"   {row.regret:8.1%} ± {row.error:<8.1%}  {row.missed:8.0%}"
        )
    yield advice(tuned.recommended)


def advice(row: Replayed) -> str:
    m = 1.0 / (1.0 - row.setting.budget)
    return (
        f"recommended: --surrogate-budget {row.setting.budget:g} ({m:.1f} candidates for each measurement; it missed the best known "
        f"in {row.missed:.0%} of the replays and ended {row.regret:.1%} slower on average)"
    )


def _share(value: float | None, places: int = 0) -> str:
    return "-" if value is None else f"{value:.{places}%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
