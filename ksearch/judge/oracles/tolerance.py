"""The general oracle: error against a float64 reference, compared with what honest arithmetic would give.

With e = out - ref64, four measures: for each row (last axis) ||e|| / ||ref||; the same for each band of 64 columns, through
all rows; over the whole output max |e| / rms(ref); and the share of the reference that is missing, |<e, ref>| / ||ref||^2.
Rounding is spread evenly and leans to no side; skipped work is not: a tile left out stands out in its row or its band, and a
scale that is off, or a term left out of every sum, shows in the share. Each measure may be at most 3 times the worst of the
operator's honest variants on the same kind of inputs: the reference as written (float32 inside, rounded to the output type),
and for 16- and 8-bit inputs also with intermediates in the input type. A floor for each output type keeps an honest variant
that happens to be exact from making every other summation order wrong. Integers and booleans must be equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from ksearch.definitions.schema import Definition
from ksearch.judge.oracles.base import DefinitionRefused, Draw, Errors, Expectation, Problem
from ksearch.judge.oracles.measures import BAND, Measures, all_finite, errors_of, floors, rows_of
from ksearch.judge.reference import Reference
from ksearch.judge.verdict import Status

if TYPE_CHECKING:
    import torch

FACTOR = 3.0
ROUNDINGS = 4.0
"""Times the output type's epsilon: what a chain of a few correctly rounded operations may be off by in one element. Where one element
towers over all others (a peaked softmax), that is more than three times an honest variant's worst error, which may be exact there."""
LEARNING_SEEDS = (1, 2, 3)
"""Several, because one rounding that all rows share (a scale in bfloat16) happens to be exact in some draws."""


@dataclass(frozen=True, slots=True)
class _Expected:
    exact: list[torch.Tensor]
    limits: list[Measures]
    """For each output; unused for exact types."""


class ToleranceOracle:
    def __init__(self, definition: Definition, reference: Reference) -> None:
        self.definition = definition
        self.reference = reference
        self.names = list(definition.outputs)
        self.exact = not any(spec.dtype.startswith(("float", "bfloat")) for spec in definition.outputs.values())
        self._limits: dict[str, list[Measures]] = {}

    def expect(self, workload: str, inputs: tuple[Any, ...], draw: Draw | None = None) -> Expectation:
        """Tolerances of a workload are learnt once, from inputs of fixed seeds: a verdict doesn't depend on what was judged before."""
        exact = self._exact(workload, inputs)[0]
        if workload not in self._limits:
            cases = [inputs] if draw is None else [draw(seed) for seed in LEARNING_SEEDS]
            learnt = [self._learn(*self._exact(workload, case), case) for case in cases]
            self._limits[workload] = [reduce(Measures.worst, found) for found in zip(*learnt, strict=True)]
        return Expectation(inputs, _Expected([value.cpu() for value in exact], self._limits[workload]))

    def _exact(self, workload: str, inputs: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
        """(in float64, as written). Raises DefinitionRefused on NaN."""
        written = self.reference.as_written(inputs)
        exact = self.reference.in_float64(inputs, written)
        for name, value in zip(self.names, exact, strict=True):
            if value.is_floating_point() and not all_finite(value) and bool(value.isnan().any()):
                raise DefinitionRefused(f"the reference of {self.definition.name} gives NaN in output {name!r} on workload {workload}")
        return exact, written

    def _learn(self, exact: list[Any], written: list[Any], inputs: tuple[Any, ...]) -> list[Measures]:
        """Limits of each output: 3 times the worst honest variant on these inputs, or the floor."""
        variants = self._honest(inputs, written)
        limits = []
        for place, (name, truth) in enumerate(zip(self.names, exact, strict=True)):
            floor = floors(self.definition.outputs[name].dtype, rows_of(truth).shape[0])
            given = [variant[place] for variant in variants if truth.is_floating_point() and variant[place].shape == truth.shape]
            honest = [_measure(truth, value.to(truth.device).double()).times(FACTOR) for value in given]
            limits.append(reduce(Measures.worst, honest, floor))
        return limits

    def _honest(self, inputs: tuple[Any, ...], written: list[Any]) -> list[list[Any]]:
        """Outputs of the honest variants."""
        low = self.reference.in_input_type(inputs)
        return [written] if low is None else [written, low]

    def check(self, expectation: Expectation, outputs: Sequence[Any]) -> Problem | Errors:
        expected: _Expected = expectation.content
        worst = Errors(0.0, 0.0) if not self.exact else Errors()
        for name, truth, limit, out in zip(self.names, expected.exact, expected.limits, outputs, strict=True):
            found = self._check_one(name, truth, limit, out)
            if isinstance(found, Problem):
                return found
            worst = Errors(_larger(worst.max_abs, found.max_abs), _larger(worst.max_rel, found.max_rel))
        return worst

    def _check_one(self, name: str, truth: torch.Tensor, limit: Measures, out: torch.Tensor) -> Problem | Errors:
        import torch

        if out.shape != truth.shape:
            return Problem(f"{name} has shape {tuple(out.shape)}, not {tuple(truth.shape)}", status=Status.INCORRECT_SHAPE)
        if not truth.is_floating_point():
            return Errors() if torch.equal(out, truth) else _at(name, (out != truth), truth, out, "must be equal")
        wide = out.double()
        if not (all_finite(wide) and all_finite(truth)):
            strange = (wide != truth) & ~(wide.isfinite() & truth.isfinite())
            if bool(strange.any()):
                return _at(name, strange, truth, wide, "must agree where either is not finite")
        return _compare(name, truth, wide, limit, ROUNDINGS * torch.finfo(out.dtype).eps)

    def refuse_nonsense(self, expectation: Expectation) -> None:
        """Each float output in turn is replaced by nonsense, the others being right."""
        import torch

        expected: _Expected = expectation.content
        for place, truth in enumerate(expected.exact):
            if not truth.is_floating_point() or truth.numel() < 2:
                continue
            finite = torch.where(truth.isfinite(), truth, 0.0)
            swaps = {"all-zero": finite * 0, "constant": finite * 0 + finite.mean(), "rescaled (x 0.75)": finite * 0.75}
            for kind, nonsense in swaps.items():
                trial = torch.where(truth.isfinite(), nonsense, truth)
                if isinstance(_compare("", truth, trial, expected.limits[place]), Errors):
                    raise DefinitionRefused(
                        f"{self.definition.name}: an {kind} output {self.names[place]!r} would pass; its inputs or its reference "
                        "make the operator's result indistinguishable from nonsense"
                    )


def _measure(truth: torch.Tensor, out: torch.Tensor) -> Measures:
    return errors_of(truth, out).measures if truth.numel() else Measures()


def _compare(name: str, truth: torch.Tensor, out: torch.Tensor, limit: Measures, rounding: float = 0.0) -> Problem | Errors:
    """`rounding`: an error of at most so much of its own element says nothing, however it compares with the output's rms."""
    import torch

    if truth.numel() == 0:
        return Errors(0.0, 0.0)
    errors = errors_of(truth, out)
    found, width = errors.measures, rows_of(truth).shape[1]
    if found.row > limit.row:
        row = int(errors.rows.argmax())
        inner = int(rows_of(errors.absolute)[row].argmax())
        note = f"row {row} is off by {found.row:.3g} of its norm, at most {limit.row:.3g} is allowed"
        return _problem(name, row * width + inner, truth, out, note)
    if found.largest > limit.largest:
        beyond = torch.where(errors.absolute > rounding * truth.abs(), errors.absolute, 0.0)
        relative = float(beyond.max()) / (errors.rms or 1.0)
        if relative > limit.largest:
            note = f"an error of {relative:.3g} of the output's rms, at most {limit.largest:.3g} is allowed"
            return _problem(name, int(beyond.reshape(-1).argmax()), truth, out, note)
    if found.band > limit.band:
        band = int(errors.bands.argmax())
        note = f"errors cluster: {BAND} columns from {band * BAND} on are off by {found.band:.3g}, at most {limit.band:.3g} is allowed"
        return _problem(name, band * BAND, truth, out, note)
    if found.share > limit.share:
        note = f"errors lean to one side: {found.share:.3g} of the whole is missing or too much, at most {limit.share:.3g} is allowed"
        return _problem(name, int(errors.absolute.reshape(-1).argmax()), truth, out, note)
    return Errors(float(errors.absolute.max()), found.largest)


def _at(name: str, wrong: torch.Tensor, truth: torch.Tensor, out: torch.Tensor, note: str) -> Problem:
    return _problem(name, int(wrong.reshape(-1).nonzero()[0]), truth, out, note)


def _problem(name: str, flat: int, truth: torch.Tensor, out: torch.Tensor, note: str) -> Problem:
    element = element_name(name, flat, tuple(truth.shape))
    got, expected = (value.reshape(-1)[flat].item() for value in (out, truth))
    return Problem(f"{element}: got {got:.6g}, expected {expected:.6g}; {note}", element)


def element_name(name: str, flat: int, shape: tuple[int, ...]) -> str:
    """'out[3, 17]' for a flat index."""
    index = []
    for extent in reversed(shape):
        flat, place = divmod(flat, extent)
        index.append(place)
    return f"{name}[{', '.join(map(str, reversed(index)))}]"


def _larger(a: float | None, b: float | None) -> float | None:
    return max((x for x in (a, b) if x is not None), default=None)
