"""What tokens cost, and the most that a call can cost before it is made. Exact: dollars are Decimal."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from functools import cache
from importlib import resources
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ksearch.budget import Amounts
from ksearch.errors import BadInput
from ksearch.llm.types import Request, Usage

MILLION = Decimal(1_000_000)
NANODOLLAR = Decimal("1e-9")

FRAMING_TOKENS = 2_000
"""Tokens that a provider may add to what we send: its own instructions for tool use (a few hundred), and marks around messages."""

Rate = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=6)]


class Rates(BaseModel):
    """US dollars for a million tokens of each kind."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Rate
    cached: Rate
    written: Rate
    output: Rate


class Price(Rates):
    """A model's rates; `long` holds for a prompt of more than `long_from` tokens, all its tokens included."""

    long_from: int | None = None
    long: Rates | None = None

    def rates(self, prompt_tokens: int) -> Rates:
        return self.long if self.long is not None and self.long_from is not None and prompt_tokens > self.long_from else self

    def cost(self, usage: Usage) -> Decimal:
        """US dollars, rounded up to a nanodollar."""
        rates = self.rates(usage.input + usage.cached + usage.written)
        total = rates.input * usage.input + rates.cached * usage.cached + rates.written * usage.written + rates.output * usage.output
        return (total / MILLION).quantize(NANODOLLAR, rounding=ROUND_UP)


class PriceTable(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: datetime.date
    models: Mapping[str, Price]


@dataclass(frozen=True, slots=True)
class Bound:
    """The most that one call can take."""

    usage: Usage
    usd: Decimal

    @property
    def amounts(self) -> Amounts:
        return Amounts(usd=self.usd, tokens=self.usage.total)


FREE = Price(input=Decimal(0), cached=Decimal(0), written=Decimal(0), output=Decimal(0))
"""For a program that pays its own way: what it costs isn't ours to see."""


@cache
def shipped() -> PriceTable:
    import yaml

    text = (resources.files("ksearch.llm") / "prices.yaml").read_text("utf-8")
    return PriceTable.model_validate(yaml.safe_load(text))


def price_of(model: str, own: Mapping[str, Price]) -> Price:
    """The user's price, else the shipped one. Raises BadInput with the setting to add when neither knows the model."""
    found = own.get(model) or shipped().models.get(model)
    if found is None:
        example = f"--set 'llm.prices={{{model}: {{input: 3, cached: 0.3, written: 3.75, output: 15}}}}'"
        raise BadInput(
            f"{model} has no price, and without one no limit in dollars could hold; state it in US dollars for a million tokens, "
            f"for example {example} (all 0 for a model of your own)"
        )
    return found


def bound_of(request: Request, price: Price) -> Bound:
    """An upper bound, not an estimate.

    A token of a byte-level vocabulary stands for at least one byte, so the bytes of the request bound its tokens. All input is
    priced at its dearest kind, and the answer at its longest.
    """
    tokens = len(request.canonical().encode("utf-8", "surrogatepass")) + FRAMING_TOKENS
    rates = price.rates(tokens)
    dearest = Usage(written=tokens, output=request.max_output_tokens)
    if rates.input > rates.written:
        dearest = Usage(input=tokens, output=request.max_output_tokens)
    if rates.cached > max(rates.input, rates.written):
        dearest = Usage(cached=tokens, output=request.max_output_tokens)
    return Bound(dearest, price.cost(dearest))
