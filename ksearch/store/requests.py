"""What another process may ask of a run's writer. Data alone: the writer decides (see `ksearch.steering`)."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter

MAX_IDEA = 500
"""Characters; an action key of a language model is far shorter."""


Idea: TypeAlias = Annotated[str, Field(min_length=1, max_length=MAX_IDEA, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
"""Without control characters: it is shown on terminals."""


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pin(_Request):
    """Search at and below a node first."""

    kind: Literal["pin"] = "pin"
    node: Annotated[int, Field(ge=0)]

    def __str__(self) -> str:
        return f"{self.kind} node {self.node}"


class Unpin(_Request):
    kind: Literal["unpin"] = "unpin"
    node: Annotated[int, Field(ge=0)]

    def __str__(self) -> str:
        return f"{self.kind} node {self.node}"


class Ban(_Request):
    """Propose and try no more of an idea: a technique, or one action by its key technique|target|parameter."""

    kind: Literal["ban"] = "ban"
    idea: Idea

    def __str__(self) -> str:
        return f"{self.kind} {self.idea}"


class Unban(_Request):
    kind: Literal["unban"] = "unban"
    idea: Idea

    def __str__(self) -> str:
        return f"{self.kind} {self.idea}"


class Budget(_Request):
    """Change limits; those not named stay. None lifts one."""

    kind: Literal["budget"] = "budget"
    limits: Annotated[dict[str, FiniteFloat | None], Field(min_length=1)]
    """By the names of `budget.*`, such as max_evaluations."""

    def __str__(self) -> str:
        return "budget " + ", ".join(f"{name}={'none' if value is None else f'{value:g}'}" for name, value in self.limits.items())


class Stop(_Request):
    """End the search cleanly, as Ctrl-C does."""

    kind: Literal["stop"] = "stop"

    def __str__(self) -> str:
        return self.kind


Request: TypeAlias = Annotated[Pin | Unpin | Ban | Unban | Budget | Stop, Field(discriminator="kind")]

REQUEST: TypeAdapter[Pin | Unpin | Ban | Unban | Budget | Stop] = TypeAdapter(Request)
