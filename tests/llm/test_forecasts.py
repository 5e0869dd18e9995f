"""A language model as the surrogate, over real HTTP: booked like any call, kept for a replay, and never in the search's way."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ksearch.cli.main import app
from ksearch.errors import BadInput
from ksearch.forecasting.outcomes import spending_of
from ksearch.llm.setup import FORECAST_MODEL, choose, model_of
from ksearch.llm.types import Role
from ksearch.settings import parse_assignment, resolve
from ksearch.store.events import ForecastMade, ModelCallSettled, ModelCallStarted, SurrogateOpened, parse_event
from ksearch.store.fold import RunState
from ksearch.store.journal import read_state
from ksearch.store.log import EventLog
from tests.llm.conftest import KEY
from tests.llm.messages_server import Body, Error, Say, prompt_of, serving, text, tool

WHAT = ["-d", "rmsnorm", "--device", "cpu", "--evaluator", "fake", "--planner", "playbook", "--set", "evaluation.parallel=1"]


@dataclass
class Forecaster:
    """Forecasts every candidate of the question; `slips` makes every second answer no use."""

    slips: bool = False
    prompts: list[str] = field(default_factory=list)

    def __call__(self, body: Body) -> Say | Error:
        prompt = prompt_of(body)
        self.prompts.append(prompt)
        if self.slips and len(self.prompts) % 2:
            return Say([text("It will be fast.")])
        draw = random.Random(len(self.prompts))
        return Say([tool("forecast", {"reasoning": "so", "candidates": [row(number, draw) for number in numbers(prompt)]})])


def numbers(prompt: str) -> list[int]:
    return [int(found) for found in re.findall(r"^Candidate (\d+):", prompt, re.MULTILINE)]


def row(number: int, draw: random.Random) -> dict[str, Any]:
    d50 = draw.gauss(-0.1, 0.1)
    return {"candidate": number, "p_passes": 0.9, "d10": d50 - 0.2, "d50": d50, "d90": d50 + 0.2}


def run(folder: Path, url: str, name: str, *more: str, evaluations: int = 8) -> Result:
    address = ["--set", f"llm.anthropic_url={url}", "--set", "llm.backoff_s=0.002", "--runs-dir", str(folder)]
    limits = ["--max-evaluations", str(evaluations)] if evaluations else []
    done = CliRunner().invoke(app, ["run", *WHAT, "--surrogate", "llm", *address, *limits, "--name", name, "--json", *more])
    assert done.exit_code == 0, done.output
    return done


def read(folder: Path, name: str) -> tuple[RunState, list[Any]]:
    with EventLog.open_reader(folder / name / "run.sqlite") as log:
        return read_state(log), [parse_event(stored.payload) for stored in log.events()]


def test_forecasts_are_asked_for_booked_and_shared_out(tmp_path: Path) -> None:
    with serving(Forecaster()) as server:
        run(tmp_path, server.url, "one", "--surrogate-model", "anthropic:claude-haiku-4-5")
        served = server.served
    state, events = read(tmp_path, "one")
    made = [event for event in events if isinstance(event, ForecastMade)]
    assert len(made) == state.evaluations - 1, "all but the root"
    assert all(event.d50 is not None and not event.malformed for event in made)
    started = [event for event in events if isinstance(event, ModelCallStarted)]
    assert {(event.role, event.model, event.ticket) for event in started} == {("surrogate", "anthropic:claude-haiku-4-5", None)}
    assert len(started) == 3 * len(made), "three samples each"
    assert state.ledger.spent.tokens == served.total, "each token once: a forecast's share is not charged again"
    assert state.ledger.spent.usd > 0
    assert sum(event.usd for event in made) == pytest.approx(float(state.ledger.spent.usd))
    opened = next(event for event in events if isinstance(event, SurrogateOpened))
    assert (opened.forecaster, opened.model) == ("llm", "anthropic:claude-haiku-4-5")


def test_the_samples_after_the_first_read_their_prompt_from_the_cache(tmp_path: Path) -> None:
    with serving(Forecaster()) as server:
        run(tmp_path, server.url, "one")
        assert server.served.cached > 1.8 * server.served.written > 0


def test_a_replay_needs_no_model_and_ends_in_the_same_tree(tmp_path: Path) -> None:
    with serving(Forecaster()) as server:
        run(tmp_path, server.url, "one")
    again = CliRunner().invoke(app, ["run", "--replay", "one", "--json", "--runs-dir", str(tmp_path)])
    assert again.exit_code == 0, again.output
    assert '"same_tree": true' in again.output


def test_answers_of_a_stored_run_are_reused(tmp_path: Path) -> None:
    with serving(Forecaster()) as server:
        run(tmp_path, server.url, "one")
    with serving(lambda body: Error(400, "nobody should have asked")) as server:
        run(tmp_path / "elsewhere", server.url, "two", "--reuse-answers", str(tmp_path / "one"))
        assert server.served.bodies == []
    runs = (read(tmp_path / "elsewhere", "two"), read(tmp_path, "one"))
    ours, theirs = ([event for event in events if isinstance(event, ForecastMade)] for _, events in runs)
    assert [event.d50 for event in ours] == [event.d50 for event in theirs]


def test_useless_answers_are_counted_and_the_others_used(tmp_path: Path) -> None:
    with serving(Forecaster(slips=True)) as server:
        run(tmp_path, server.url, "one")
        calls = len(server.served.bodies)
    made = [event for event in read(tmp_path, "one")[1] if isinstance(event, ForecastMade)]
    assert sum(event.malformed for event in made) == (calls + 1) // 2
    assert all(event.d50 is not None for event in made)
    assert spending_of(read(tmp_path, "one")[0]).malformed == (calls + 1) // 2


def test_a_model_that_refuses_its_key_is_asked_once_and_the_search_goes_on(tmp_path: Path) -> None:
    with serving(lambda body: Error(401, "authentication_error")) as server:
        run(tmp_path, server.url, "one")
        assert len(server.served.bodies) == 1
    state, events = read(tmp_path, "one")
    assert state.evaluations == 8
    assert all(event.d50 is None for event in events if isinstance(event, ForecastMade))
    assert any(isinstance(event, ModelCallSettled) and event.ending == "failed" for event in events)


def test_a_spent_budget_for_models_ends_the_forecasts_and_not_the_search(tmp_path: Path) -> None:
    with serving(Forecaster()) as server:
        run(tmp_path, server.url, "one", "--max-usd", "0.0075")
    state, events = read(tmp_path, "one")
    made = [event for event in events if isinstance(event, ForecastMade)]
    assert state.evaluations == 8
    assert float(state.ledger.spent.usd) <= 0.0075
    assert made[0].d50 is not None
    assert made[-1].d50 is None


def test_a_resumed_run_goes_on_forecasting(tmp_path: Path) -> None:
    with serving(Forecaster()) as server:
        run(tmp_path, server.url, "one", evaluations=4)
        arguments = ["resume", "one", "--set", "budget.max_evaluations=8", "--runs-dir", str(tmp_path), "--json"]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
    made = [event for event in read(tmp_path, "one")[1] if isinstance(event, ForecastMade)]
    assert len(made) == 7
    assert len({event.candidate for event in made}) == 7
    assert all(event.d50 is not None for event in made)


def test_comments_never_reach_the_model(tmp_path: Path) -> None:
    brain = Forecaster()
    with serving(brain) as server:
        run(tmp_path, server.url, "one")
    assert brain.prompts
    assert not any("# toy:" in prompt or "verified" in prompt for prompt in brain.prompts)


# ---------------------------------------------------------------------- settings


def settings(*assignments: str):  # type: ignore[no-untyped-def]
    return resolve([{"definition": "rmsnorm", "planner": "playbook"}, *map(parse_assignment, assignments)])


def test_the_cheapest_model_forecasts_unless_another_is_named() -> None:
    assert str(model_of(settings().llm, Role.SURROGATE)) == FORECAST_MODEL
    assert model_of(settings("llm.surrogate_model=claude-opus-5-5").llm, Role.SURROGATE).model == "claude-opus-5-5"
    assert model_of(settings("llm.model='command:cat'").llm, Role.SURROGATE).provider == "command"


def test_a_forecasting_model_has_a_limit_of_dollars_and_needs_its_key() -> None:
    chosen = choose(settings("surrogate=llm"), {"ANTHROPIC_API_KEY": KEY})
    assert not chosen.uses_models
    assert chosen.asks_models
    assert chosen.settings.budget.max_usd == 5.0
    with pytest.raises(BadInput, match="--surrogate statistical"):
        choose(settings("surrogate=llm"), {})
    assert not choose(settings("surrogate=ensemble"), {}).asks_models
    assert choose(settings("surrogate=ensemble", "llm.surrogate_model=claude-haiku-4-5"), {"ANTHROPIC_API_KEY": KEY}).asks_models


def test_a_dry_run_names_the_model_that_forecasts(monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(app, ["run", *WHAT, "--surrogate", "llm", "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "claude-haiku-5-5 as surrogate (--surrogate llm)" in done.output
    assert "up to 5 US dollars" in done.output


