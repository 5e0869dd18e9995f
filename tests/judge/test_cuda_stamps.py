"""The judge's reading of a CUDA runner's stamps: numbers that can't all be true are no numbers."""

from __future__ import annotations

import pytest

from ksearch.judge.cuda_timing import Stamp


def raw(host: float = 50.0, events: float = 20.0, span_ns: float | None = 5000, to_host: int = 0) -> dict[str, object]:
    records = [] if span_ns is None else [["kernel", "k", 1000, 1000 + span_ns, to_host]]
    return {"host_us": host, "events_us": events, "records": records}


JUDGED_US = 60.0


def test_the_span_is_charged() -> None:
    stamp = Stamp.read(raw(), cupti=True)
    assert stamp.contradiction(JUDGED_US) is None
    assert stamp.charged_us == 5.0


def test_without_cupti_events_are() -> None:
    assert Stamp.read(raw(), cupti=False).charged_us == 20.0


@pytest.mark.parametrize("stamp", [raw(span_ns=None), raw(to_host=4097)])
def test_work_on_the_host_is_charged_host_time(stamp: dict[str, object]) -> None:
    assert Stamp.read(stamp, cupti=True).charged_us == 50.0


@pytest.mark.parametrize("stamp", [raw(span_ns=52_000), raw(events=52.0), raw(host=62.0)])
def test_clocks_that_contradict_each_other_are_told(stamp: dict[str, object]) -> None:
    assert Stamp.read(stamp, cupti=True).contradiction(JUDGED_US) is not None


@pytest.mark.parametrize("stamp", [raw(host=0), raw(events=float("nan")), raw(span_ns=-4), raw(events=float("inf"))])
def test_nonsense_is_no_stamp(stamp: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="times"):
        Stamp.read(stamp, cupti=True)
