"""The ledger of a run's resources: what may be spent, what is promised to work in flight, what is gone.

Pure: no clock, no I/O. The search reserves an upper bound before a step, and settles what the step really took after it.
Replaying the same operations from a run's log gives an equal ledger, in whatever order concurrent steps settled.

Every sum is exact, because float addition depends on its order and would drift over a long run: evaluations and tokens
are integers, US dollars and seconds are `Decimal` with at most nine places (nanodollars, nanoseconds).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType

ZERO = Decimal(0)
_PLACES = Decimal("1e-9")
_LARGEST = Decimal("1e15")
"""With nine places this stays within the 28 digits in which Decimal addition is exact, for ten thousand such summands."""

Quantity = int | Decimal
"""An integer for counts, a Decimal for dollars and seconds."""


class Resource(StrEnum):
    """What a run spends; the values are the field names of `Amounts` and `Limits`."""

    EVALUATIONS = "evaluations"
    GPU_SECONDS = "gpu_seconds"
    USD = "usd"
    TOKENS = "tokens"
    WALL_SECONDS = "wall_seconds"


_COUNTS = frozenset({Resource.EVALUATIONS, Resource.TOKENS})


class LedgerError(Exception):
    """An operation that no correct search makes: an unknown or reused key, a negative or inexact amount."""


@dataclass(frozen=True)
class Amounts:
    """A quantity of each resource; never negative. Use `Amounts.of` to build one from floats.

    `a <= b` holds when it holds for every resource, so two amounts may be ordered neither way.
    """

    evaluations: int = 0
    gpu_seconds: Decimal = ZERO
    usd: Decimal = ZERO
    tokens: int = 0
    wall_seconds: Decimal = ZERO

    def __post_init__(self) -> None:
        _check_count(Resource.EVALUATIONS, self.evaluations)
        _check_exact(Resource.GPU_SECONDS, self.gpu_seconds)
        _check_exact(Resource.USD, self.usd)
        _check_count(Resource.TOKENS, self.tokens)
        _check_exact(Resource.WALL_SECONDS, self.wall_seconds)

    @classmethod
    def of(
        cls,
        *,
        evaluations: int = 0,
        gpu_seconds: float | Decimal = 0,
        usd: float | Decimal = 0,
        tokens: int = 0,
        wall_seconds: float | Decimal = 0,
    ) -> Amounts:
        """Amounts from measured numbers; dollars and seconds are rounded to nine places."""
        seconds, dollars, wall = exact(gpu_seconds), exact(usd), exact(wall_seconds)
        counted = type(evaluations) is int and type(tokens) is int and evaluations >= 0 and tokens >= 0
        if counted and seconds >= ZERO and dollars >= ZERO and wall >= ZERO:
            return _unchecked(evaluations, seconds, dollars, tokens, wall)
        return cls(evaluations, seconds, dollars, tokens, wall)  # which says what is wrong with them

    def __getitem__(self, resource: Resource) -> Quantity:
        value: Quantity = getattr(self, resource)
        return value

    def __add__(self, other: Amounts) -> Amounts:
        return _unchecked(
            self.evaluations + other.evaluations,
            self.gpu_seconds + other.gpu_seconds,
            self.usd + other.usd,
            self.tokens + other.tokens,
            self.wall_seconds + other.wall_seconds,
        )

    def __sub__(self, other: Amounts) -> Amounts:
        """Raises LedgerError where the difference would be negative."""
        build = _unchecked if other <= self else Amounts
        return build(
            self.evaluations - other.evaluations,
            self.gpu_seconds - other.gpu_seconds,
            self.usd - other.usd,
            self.tokens - other.tokens,
            self.wall_seconds - other.wall_seconds,
        )

    def __le__(self, other: Amounts) -> bool:
        return (
            self.evaluations <= other.evaluations
            and self.gpu_seconds <= other.gpu_seconds
            and self.usd <= other.usd
            and self.tokens <= other.tokens
            and self.wall_seconds <= other.wall_seconds
        )


def _unchecked(evaluations: int, gpu_seconds: Decimal, usd: Decimal, tokens: int, wall_seconds: Decimal) -> Amounts:
    """Amounts that need no second check, such as sums: logs of many thousand steps are folded through here."""
    amounts = object.__new__(Amounts)
    amounts.__dict__.update(evaluations=evaluations, gpu_seconds=gpu_seconds, usd=usd, tokens=tokens, wall_seconds=wall_seconds)
    return amounts


@dataclass(slots=True)
class _Sum:
    """A running sum of amounts, changed in place: one is kept through every step of a run, and read now and then."""

    evaluations: int = 0
    gpu_seconds: Decimal = ZERO
    usd: Decimal = ZERO
    tokens: int = 0
    wall_seconds: Decimal = ZERO

    def add(self, amounts: Amounts) -> None:
        self.evaluations += amounts.evaluations
        self.gpu_seconds += amounts.gpu_seconds
        self.usd += amounts.usd
        self.tokens += amounts.tokens
        self.wall_seconds += amounts.wall_seconds

    def take(self, amounts: Amounts) -> None:
        """What was added before."""
        self.evaluations -= amounts.evaluations
        self.gpu_seconds -= amounts.gpu_seconds
        self.usd -= amounts.usd
        self.tokens -= amounts.tokens
        self.wall_seconds -= amounts.wall_seconds

    @property
    def amounts(self) -> Amounts:
        return _unchecked(self.evaluations, self.gpu_seconds, self.usd, self.tokens, self.wall_seconds)


@dataclass(frozen=True)
class Limits:
    """The most that may be spent of each resource; None is no limit, 0 allows nothing."""

    evaluations: int | None = None
    gpu_seconds: Decimal | None = None
    usd: Decimal | None = None
    tokens: int | None = None
    wall_seconds: Decimal | None = None

    def __post_init__(self) -> None:
        for resource in Resource:
            if (limit := self[resource]) is not None:
                _check(resource, limit)

    @classmethod
    def of(
        cls,
        *,
        evaluations: int | None = None,
        gpu_seconds: float | Decimal | None = None,
        usd: float | Decimal | None = None,
        tokens: int | None = None,
        wall_seconds: float | Decimal | None = None,
    ) -> Limits:
        """Limits from a person's numbers; dollars and seconds are rounded to nine places."""
        return cls(evaluations, _exact_or_none(gpu_seconds), _exact_or_none(usd), tokens, _exact_or_none(wall_seconds))

    def __getitem__(self, resource: Resource) -> Quantity | None:
        value: Quantity | None = getattr(self, resource)
        return value

    @property
    def limited(self) -> tuple[Resource, ...]:
        return tuple(resource for resource in Resource if self[resource] is not None)


@dataclass(frozen=True)
class Overrun:
    """A step that took more than its reservation, which was meant to be an upper bound."""

    key: str
    resource: Resource
    reserved: Quantity
    actual: Quantity


@dataclass
class Ledger:
    """Reservations and settlements under limits. Two ledgers are equal when their limits and their books are.

    A key names one step (an evaluation, a model call) for the whole run. It is reserved, then settled or released. A
    released key may be reserved again, a settled one may not. Wall time passes once however many steps are in flight,
    so it belongs to no step: it is booked with `book_wall` and refused in `reserve`, `hold` and `settle`.
    """

    limits: Limits = field(default_factory=Limits)
    _spent: _Sum = field(default_factory=_Sum)
    _reserved: _Sum = field(default_factory=_Sum)
    _holds: dict[str, Amounts] = field(default_factory=dict)
    _settled: dict[str, Amounts] = field(default_factory=dict)
    _overruns: dict[str, tuple[Overrun, ...]] = field(default_factory=dict)

    @property
    def spent(self) -> Amounts:
        return self._spent.amounts

    @property
    def reserved(self) -> Amounts:
        """Promised to steps in flight."""
        return self._reserved.amounts

    @property
    def reservations(self) -> Mapping[str, Amounts]:
        """The reservations in flight by key, read-only."""
        return MappingProxyType(self._holds)

    @property
    def settlements(self) -> Mapping[str, Amounts]:
        """What each settled step took, read-only."""
        return MappingProxyType(self._settled)

    @property
    def remaining(self) -> Limits:
        """What can still be reserved of each limited resource (never below 0); None where there is no limit."""
        return Limits(**{resource.value: self._left(resource) for resource in self.limits.limited})  # type: ignore[arg-type]

    @property
    def exceeded(self) -> bool:
        """True when the run must stop: a limited resource is spent beyond its limit, or a step's reservation of one was no bound."""
        overrun = any(self.limits[o.resource] is not None for overruns in self._overruns.values() for o in overruns)
        spent = self.spent
        return overrun or any(_above(spent[r], self.limits[r]) for r in self.limits.limited)

    @property
    def overruns(self) -> tuple[Overrun, ...]:
        """Every settlement above its reservation, by key, also of resources without a limit."""
        return tuple(overrun for key in sorted(self._overruns) for overrun in self._overruns[key])

    def exhausted_resources(self) -> tuple[Resource, ...]:
        """Limited resources of which everything is spent (reservations in flight aside: they may be given back)."""
        spent = self.spent
        return tuple(r for r in self.limits.limited if not _below(spent[r], self.limits[r]))

    def blocking(self, wanted: Amounts) -> tuple[Resource, ...]:
        """The resources for which a reservation of `wanted` would be refused now."""
        promised = self.spent + self.reserved + wanted
        return tuple(r for r in self.limits.limited if _above(promised[r], self.limits[r]))

    def holds(self, key: str) -> bool:
        """Whether a reservation of that key is in flight."""
        return key in self._holds

    def reserve(self, key: str, wanted: Amounts) -> bool:
        """Reserve an upper bound for a step; False, and no change, when spent + reserved + wanted would pass any limit.

        Raises LedgerError for a key already reserved or settled.
        """
        self._check_step(wanted)
        self._check_fresh(key)
        if self.blocking(wanted):
            return False
        self._book(key, wanted)
        return True

    def hold(self, key: str, amounts: Amounts) -> None:
        """Book a reservation that was granted earlier, without asking the limits.

        For replaying a log: the limits may have been changed since. Raises LedgerError as `reserve` does.
        """
        self._check_step(amounts)
        self._check_fresh(key)
        self._book(key, amounts)

    def settle(self, key: str, actual: Amounts) -> None:
        """Book what a step really took, in full, even above its reservation, and end its reservation.

        Settling again with the same amounts has no effect (a replayed message); with other amounts it raises
        LedgerError, as does a key that was never reserved.
        """
        self._check_step(actual)
        if key in self._settled:
            if self._settled[key] != actual:
                raise LedgerError(f"{key} was settled with {self._settled[key]} and now comes again with {actual}")
            return
        bound = self._end(key)
        self._spent.add(actual)
        self._settled[key] = actual
        if not actual <= bound:
            self._overruns[key] = tuple(Overrun(key, r, bound[r], actual[r]) for r in Resource if actual[r] > bound[r])

    def release(self, key: str) -> None:
        """Give a reservation back unspent. Raises LedgerError for a key that isn't reserved."""
        self._end(key)

    def book_wall(self, seconds: float | Decimal) -> None:
        """Add wall-clock seconds that have passed since the last booking. Raises LedgerError when negative."""
        self._spent.add(Amounts.of(wall_seconds=seconds))

    def _left(self, resource: Resource) -> Quantity:
        limit = self.limits[resource]
        assert limit is not None
        left = limit - self.spent[resource] - self.reserved[resource]
        return max(left, type(left)(0))

    def _book(self, key: str, amounts: Amounts) -> None:
        self._holds[key] = amounts
        self._reserved.add(amounts)

    def _end(self, key: str) -> Amounts:
        if key not in self._holds:
            state = "already settled" if key in self._settled else "not reserved"
            raise LedgerError(f"{key} is {state}")
        bound = self._holds.pop(key)
        self._reserved.take(bound)
        return bound

    def _check_fresh(self, key: str) -> None:
        if key in self._holds or key in self._settled:
            raise LedgerError(f"{key} is already {'reserved' if key in self._holds else 'settled'}; each step needs a key of its own")

    @staticmethod
    def _check_step(amounts: Amounts) -> None:
        if amounts.wall_seconds:
            raise LedgerError("wall time belongs to no step; book it with book_wall")


@lru_cache(maxsize=1024)  # a run reserves the same upper bounds again and again
def exact(value: float | Decimal) -> Decimal:
    """A Decimal with nine places from a number, through its shortest decimal form (0.1 becomes 0.1)."""
    if not value:
        return ZERO
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    if not number.is_finite() or abs(number) > _LARGEST:
        raise LedgerError(f"{value} is not an amount of anything")
    return number.quantize(_PLACES, rounding=ROUND_HALF_EVEN).normalize() + ZERO


def _exact_or_none(value: float | Decimal | None) -> Decimal | None:
    return None if value is None else exact(value)


def _check(resource: Resource, value: Quantity) -> None:
    if resource in _COUNTS:
        _check_count(resource, value)
    else:
        _check_exact(resource, value)


def _check_count(resource: Resource, value: Quantity) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise LedgerError(f"{resource} must be an integer, not {value!r}")
    if value < 0:
        raise LedgerError(f"{resource} cannot be negative: {value}")


def _check_exact(resource: Resource, value: Quantity) -> None:
    if value is ZERO:
        return
    if not isinstance(value, Decimal):
        raise LedgerError(f"{resource} must be a Decimal, not {value!r}; Amounts.of converts")
    if not (value.is_finite() and value == value.quantize(_PLACES)):
        raise LedgerError(f"{resource} must be finite with at most nine decimal places, not {value}")
    if value < 0:
        raise LedgerError(f"{resource} cannot be negative: {value}")


def _above(amount: Quantity, limit: Quantity | None) -> bool:
    return limit is not None and amount > limit


def _below(amount: Quantity, limit: Quantity | None) -> bool:
    return limit is None or amount < limit
