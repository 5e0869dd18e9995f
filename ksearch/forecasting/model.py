"""The language model behind `--surrogate llm`: the run's own connections, so that every answer is booked, kept and replayed.

A call blocks the thread that asks, never the loop: it must come from the desk's own thread while a search runs, because
the loop is what lets a booked call through.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ksearch.llm.asker import Asker, Inquiry
from ksearch.llm.desk import Desk
from ksearch.llm.reading import filled_form
from ksearch.llm.setup import asker_of, forecasts_with_model
from ksearch.llm.types import Message, Part, Reply, Role, Tool
from ksearch.settings import Settings
from ksearch.surrogates.answers import TOOL_TEXT, Json, ToolCall
from ksearch.worldmodel.oracle import Unanswered


@dataclass(frozen=True)
class AskedModel:
    """A ForecastModel that asks through an Asker, as the role `surrogate` and for no particular ticket."""

    asker: Asker

    @property
    def name(self) -> str:
        return str(self.asker.lines[Role.SURROGATE].name)

    def call(self, system: str, prompt: str, tool: str, schema: Json, samples: int) -> tuple[ToolCall, ...]:
        """The first answer alone, so that the others find its prompt in the provider's cache; then the rest at once.

        Raises OutOfBudget, Unavailable or Cancelled as the asker does.
        """
        message = Message("user", (Part(prompt, stable=samples > 1),))
        inquiry = Inquiry(Role.SURROGATE, None, None, (Part(system, stable=True),), (message,), (Tool(tool, TOOL_TEXT, schema),))
        first = self._asked(inquiry)
        if samples <= 1:
            return (first,)
        with ThreadPoolExecutor(samples - 1, thread_name_prefix="forecast-sample") as pool:
            return (first, *pool.map(self._asked, [inquiry] * (samples - 1)))

    def _asked(self, inquiry: Inquiry) -> ToolCall:
        reply = self.asker.ask(inquiry)
        cost = self.asker.lines[Role.SURROGATE].price.cost(reply.usage)
        return ToolCall(arguments_of(reply, inquiry.tools[0].name), reply.usage.total, float(cost))

    def close(self) -> None:
        self.asker.close()


def arguments_of(reply: Reply, tool: str) -> Mapping[str, Any] | None:
    """None for whatever isn't one call of the tool with a JSON object: the forecaster counts it and takes its prior."""
    try:
        value = json.loads(filled_form(reply, (tool,)).text)
    except (Unanswered, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def forecast_model(settings: Settings, desk: Desk, environ: Mapping[str, str] = os.environ) -> AskedModel | None:
    """None where the settings don't have a model forecast. Without a key it is made all the same: a record may answer."""
    return AskedModel(asker_of(settings.llm, (Role.SURROGATE,), desk, environ)) if forecasts_with_model(settings) else None
