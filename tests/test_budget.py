from dataclasses import FrozenInstanceError
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksearch.budget import Amounts, Ledger, LedgerError, Limits, Overrun, Resource

seconds = st.integers(0, 40).map(lambda tenths: Decimal(tenths) / 10)
step_amounts = st.builds(Amounts, st.integers(0, 3), seconds, seconds, st.integers(0, 3000))
limits = st.builds(
    Limits,
    st.none() | st.integers(0, 12),
    st.none() | seconds.map(lambda s: s * 4),
    st.none() | seconds.map(lambda s: s * 4),
    st.none() | st.integers(0, 9000),
    st.none() | seconds,
)


def within(amounts: Amounts, bounds: Limits) -> bool:
    return all(bound is None or amounts[r] <= bound for r in Resource for bound in [bounds[r]])


@given(limits, st.lists(st.tuples(step_amounts, st.sampled_from(["keep", "release", "settle"]), st.integers(0, 100))))
def test_spent_plus_reserved_never_passes_a_limit(bounds: Limits, steps: list[tuple[Amounts, str, int]]) -> None:
    """As long as reservations are upper bounds, which a settlement of at most the reservation is."""
    ledger = Ledger(bounds)
    for number, (wanted, then, percent) in enumerate(steps):
        before = ledger.spent + ledger.reserved
        granted = ledger.reserve(str(number), wanted)
        assert granted == within(before + wanted, bounds)
        assert granted == (ledger.blocking(Amounts()) == () and str(number) in ledger.reservations)
        if granted and then == "release":
            ledger.release(str(number))
            assert ledger.spent + ledger.reserved == before
        if granted and then == "settle":
            ledger.settle(str(number), share(wanted, percent))
        assert within(ledger.spent + ledger.reserved, bounds)
        assert not ledger.exceeded


def share(amounts: Amounts, percent: int) -> Amounts:
    part = Decimal(percent) / 100
    return Amounts(amounts.evaluations * percent // 100, amounts.gpu_seconds * part, amounts.usd * part, amounts.tokens * percent // 100)


@given(limits, st.lists(st.tuples(step_amounts, step_amounts), max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_settlements_changes_nothing(bounds: Limits, steps: list[tuple[Amounts, Amounts]], dice: object) -> None:
    ends = list(enumerate(steps))
    shuffled = list(ends)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    ledgers = []
    for order in (ends, shuffled):
        ledger = Ledger(bounds)
        for number, (reserved, _) in order:
            ledger.hold(str(number), reserved)
        for number, (_, actual) in order:
            ledger.settle(str(number), actual)
            ledger.book_wall(0.1)
        ledgers.append(ledger)
    assert ledgers[0] == ledgers[1]
    assert ledgers[0].overruns == ledgers[1].overruns
    assert ledgers[0].exceeded == ledgers[1].exceeded
    assert ledgers[0].reserved == Amounts()
    assert ledgers[0].spent.tokens == sum(actual.tokens for _, actual in steps)
    assert ledgers[0].spent.usd == sum(actual.usd for _, actual in steps)


@given(limits, st.lists(st.tuples(st.sampled_from(["reserve", "settle", "release"]), st.integers(0, 5), step_amounts)))
def test_replaying_what_happened_gives_the_same_ledger_even_without_limits_to_ask(
    bounds: Limits, tries: list[tuple[str, int, Amounts]]
) -> None:
    """What was granted or booked is replayed with `hold`, as from a log; what was refused left no trace."""
    live, replayed = Ledger(bounds), Ledger(bounds)
    for action, number, amounts in tries:
        key = str(number)
        try:
            if action == "reserve" and live.reserve(key, amounts):
                replayed.hold(key, amounts)
            elif action == "settle":
                live.settle(key, amounts)
                replayed.settle(key, amounts)
            elif action == "release":
                live.release(key)
                replayed.release(key)
        except LedgerError:
            pass
        assert live == replayed


def test_a_settlement_above_its_reservation_is_booked_in_full_and_stops_the_run() -> None:
    ledger = Ledger(Limits.of(gpu_seconds=100))
    assert ledger.reserve("a", Amounts.of(evaluations=1, gpu_seconds=2))
    ledger.settle("a", Amounts.of(evaluations=1, gpu_seconds=5.5))
    assert ledger.spent == Amounts.of(evaluations=1, gpu_seconds=5.5)
    assert ledger.exceeded
    assert ledger.overruns == (Overrun("a", Resource.GPU_SECONDS, Decimal(2), Decimal("5.5")),)


def test_an_overrun_of_what_nobody_limited_is_kept_but_stops_nothing() -> None:
    ledger = Ledger(Limits.of(evaluations=3))
    ledger.reserve("a", Amounts.of(tokens=10))
    ledger.settle("a", Amounts.of(tokens=11))
    assert not ledger.exceeded
    assert [overrun.resource for overrun in ledger.overruns] == [Resource.TOKENS]


def test_an_exhausted_resource_refuses_only_those_who_want_it() -> None:
    ledger = Ledger(Limits.of(evaluations=1, tokens=100))
    assert ledger.reserve("a", Amounts.of(evaluations=1))
    assert not ledger.reserve("b", Amounts.of(evaluations=1))
    assert ledger.blocking(Amounts.of(evaluations=1)) == (Resource.EVALUATIONS,)
    assert ledger.exhausted_resources() == ()
    ledger.settle("a", Amounts.of(evaluations=1))
    assert ledger.exhausted_resources() == (Resource.EVALUATIONS,)
    assert ledger.reserve("c", Amounts.of(tokens=100))
    assert ledger.remaining == Limits.of(evaluations=0, tokens=0)
    assert not ledger.exceeded


def test_wall_time_is_booked_apart_and_ends_reservations() -> None:
    ledger = Ledger(Limits.of(wall_seconds=10))
    ledger.book_wall(4.25)
    assert ledger.remaining == Limits.of(wall_seconds=5.75)
    assert ledger.reserve("a", Amounts.of(tokens=1))
    ledger.book_wall(6)
    assert ledger.exhausted_resources() == (Resource.WALL_SECONDS,)
    assert ledger.exceeded
    assert ledger.remaining == Limits.of(wall_seconds=0)
    assert not ledger.reserve("b", Amounts.of(tokens=1))
    for refuse in (ledger.reserve, ledger.hold, ledger.settle):
        with pytest.raises(LedgerError, match="book_wall"):
            refuse("a", Amounts.of(wall_seconds=1))


def test_settling_again_is_harmless_when_equal_and_an_error_when_not() -> None:
    ledger = Ledger()
    ledger.reserve("a", Amounts.of(usd=1))
    ledger.settle("a", Amounts.of(usd=0.5))
    ledger.settle("a", Amounts.of(usd=0.5))
    assert ledger.spent == Amounts.of(usd=0.5)
    with pytest.raises(LedgerError, match="again"):
        ledger.settle("a", Amounts.of(usd=0.6))


def test_keys_that_no_correct_search_uses_are_errors() -> None:
    ledger = Ledger()
    with pytest.raises(LedgerError, match="not reserved"):
        ledger.settle("a", Amounts())
    with pytest.raises(LedgerError, match="not reserved"):
        ledger.release("a")
    ledger.reserve("a", Amounts())
    with pytest.raises(LedgerError, match="already reserved"):
        ledger.reserve("a", Amounts())
    ledger.release("a")
    assert ledger.reserve("a", Amounts())
    ledger.settle("a", Amounts())
    with pytest.raises(LedgerError, match="already settled"):
        ledger.release("a")
    with pytest.raises(LedgerError, match="already settled"):
        ledger.hold("a", Amounts())


def test_money_adds_up_exactly() -> None:
    ledger = Ledger(Limits.of(usd=0.3))
    for key in "abc":
        assert ledger.reserve(key, Amounts.of(usd=0.1))
        ledger.settle(key, Amounts.of(usd=0.1))
    assert ledger.spent.usd == Decimal("0.3")
    assert not ledger.exceeded
    assert Amounts.of(usd=3e-9 / 2) == Amounts.of(usd=2e-9)


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), 1e30, -1e-6])
def test_amounts_are_never_negative_or_absurd(bad: float) -> None:
    with pytest.raises(LedgerError):
        Amounts.of(usd=bad)
    with pytest.raises(LedgerError):
        Limits.of(gpu_seconds=bad)
    with pytest.raises(LedgerError):
        Ledger().book_wall(bad)


def test_amounts_are_typed_and_frozen() -> None:
    with pytest.raises(LedgerError, match="Decimal"):
        Amounts(usd=0.1)  # type: ignore[arg-type]
    with pytest.raises(LedgerError, match="integer"):
        Amounts(tokens=1.5)  # type: ignore[arg-type]
    with pytest.raises(LedgerError, match="nine"):
        Amounts(usd=Decimal("1e-10"))
    with pytest.raises(LedgerError, match="negative"):
        Amounts() - Amounts.of(tokens=1)
    with pytest.raises(FrozenInstanceError):
        Amounts().usd = Decimal(1)  # type: ignore[misc]


def test_amounts_are_ordered_only_when_every_resource_agrees() -> None:
    small, other = Amounts.of(tokens=1), Amounts.of(usd=1)
    assert Amounts() <= small <= small + other
    assert not small <= other
    assert not other <= small
