"""What ksearch knows of an operator beyond its definition, and the seeded source of its random inputs."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ksearch.definitions.kits.work import Work, drawn_lengths, undeclared_work
from ksearch.definitions.schema import Definition, InputSpec, RandomInput, Recipe, ScalarInput, ValueKind, Workload
from ksearch.errors import BadInput

if TYPE_CHECKING:
    import torch


class Draw:
    """The random inputs of one call: one generator on the target device, so that a seed fixes every value there."""

    def __init__(self, definition: Definition, workload: Workload, seed: int, device: str) -> None:
        import torch

        self.definition = definition
        self.workload = workload
        self.recipe = workload.recipe
        self.device = device
        self.generator = torch.Generator(device=device).manual_seed(seed % 2**63)

    def shape(self, tensor: str) -> tuple[int, ...]:
        shape = self.definition.shape_of(tensor, self.workload.axes)
        if shape is None:
            raise BadInput(f"{self.definition.name}: input {tensor!r} is a scalar where its generator expects a tensor")
        return shape

    def normal(self, *shape: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        import torch

        return torch.randn(shape, generator=self.generator, device=self.device, dtype=dtype or torch.float32)

    def uniform(self, low: float, high: float, *shape: int) -> torch.Tensor:
        import torch

        return low + (high - low) * torch.rand(shape, generator=self.generator, device=self.device)

    def integers(self, low: int, high: int, *shape: int) -> torch.Tensor:
        """Integers in [low, high), int64."""
        import torch

        return torch.randint(low, high, shape, generator=self.generator, device=self.device)

    def activations(self, tensor: str, scale: float = 1.0) -> torch.Tensor:
        """Float32 values of an activation, spread as the workload's recipe says (see schema.Recipe)."""
        x = self.normal(*self.shape(tensor))
        match self.recipe.values:
            case "scaled":
                x = x * 10
            case "offset":
                x = x + 5
            case "heavy":
                x = x**3
            case "rows":
                x = x * 10 ** self.uniform(-2, 1, *x.shape[:-1], 1)
            case "ties":
                x = x.round()
            case "clustered":
                x[..., : max(1, x.shape[-1] // 16)] *= 10
            case "normal" | "long_memory":
                pass
        return x * scale

    def fp8(self, *shape: int) -> torch.Tensor:
        """Finite float8_e4m3fn in (-2, 2) straight from random bits: weights of a gigabyte cost one pass, not a float copy.

        Clearing the top exponent bit leaves exponents -7 to 0 with equal chance, so the root mean square is about 0.6.
        """
        import math

        import torch

        count = math.prod(shape)
        words = torch.empty((count + 7) // 8, dtype=torch.int64, device=self.device)
        words.random_(-(2**63), None, generator=self.generator)
        words.bitwise_and_(int.from_bytes(b"\xbf" * 8, "little", signed=True))
        return words.view(torch.float8_e4m3fn)[:count].reshape(shape)

    def lengths(self, count: int, least: int, most: int) -> list[int]:
        """The recipe's lengths, else lengths drawn from the workload's uuid: every call on a workload does the same work."""
        given = self.recipe.lengths
        if not given:
            return drawn_lengths(self.workload, count, least, most)
        if len(given) != count or max(given, default=0) > most:
            raise BadInput(
                f"workload {self.workload.uuid} of {self.definition.name}: the recipe's lengths must be {count} numbers up to {most}, "
                f"got {len(given)} up to {max(given)}"
            )
        return list(given)


Tensors = Mapping[str, Any]
"""Generated inputs by name: tensors, or functions that make one when it is needed (big ones that are often kept)."""


@dataclass(frozen=True)
class OperatorKit:
    """What the definition's JSON can't say: how to make valid inputs, which regimes exist, which hidden cases break kernels.

    `op_type`, var `axes`, `constants` and `inputs` recognise the operator: a definition that has them all, whatever its
    sizes and element types. `generate` returns the tensors it has an opinion on (float32 is rounded to the declared type), the
    rest are drawn by dtype. `regime` and `size` look only at axes and recipe. `invariant` names inputs that stay the
    same from call to call in real use (weights); all others are new for each timed call.
    """

    name: str
    op_type: str
    axes: frozenset[str]
    inputs: frozenset[str]
    generate: Callable[[Draw], Tensors]
    regime: Callable[[Definition, Workload], str]
    size: Callable[[Definition, Workload], float]
    hidden: Callable[[HiddenCases], Sequence[Workload]]
    constants: frozenset[str] = frozenset()
    invariant: tuple[str, ...] = ()
    refresh: Callable[[Draw, Tensors], Tensors] | None = None
    """Cheaper than `generate` where earlier inputs help: new values in new storage from a call's inputs (by name)."""
    work: Callable[[Definition, Workload], Work] = undeclared_work
    """Least bytes and operations of a call, for bounds: which inputs must be read is known to the operator alone."""

    def recognises(self, definition: Definition) -> bool:
        axes_fit = self.axes <= set(definition.var_axes) and self.constants <= definition.const_axes.keys()
        return definition.op_type == self.op_type and axes_fit and self.inputs <= definition.inputs.keys()


@dataclass
class HiddenCases:
    """Builds hidden workloads of a definition within what its known workloads span."""

    definition: Definition
    base: Sequence[Workload]
    seed: int
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        if not self.base:
            raise BadInput(f"hidden workloads of {self.definition.name} need at least one known workload to span the axes")
        self.rng = random.Random(self.seed)
        self._made = 0

    def least(self, axis: str) -> int:
        return min(workload.axes[axis] for workload in self.base)

    def greatest(self, axis: str) -> int:
        return max(workload.axes[axis] for workload in self.base)

    def sizes(self, axis: str, count: int) -> list[int]:
        """At most `count` values of an axis in random order: its ends, one at random, the ends' neighbours, more at random.

        The random ones are even on a log scale, as batch sizes and token counts are.
        """
        low, high = self.least(axis), self.greatest(axis)
        between = [round(max(low, 1) * (max(high, 1) / max(low, 1)) ** self.rng.random()) for _ in range(count)]
        values = dict.fromkeys([high, low, between[0], min(low + 1, high), max(high - 1, low), *between])
        return self.rng.sample(list(values)[:count], min(count, len(values)))

    def each(self, axis: str, kinds: Sequence[ValueKind]) -> list[Workload]:
        """A workload for each kind of values, over sizes of the one axis that is free."""
        sizes = self.sizes(axis, len(kinds))
        return [self.workload({axis: size}, Recipe(values=kind)) for size, kind in zip(itertools.cycle(sizes), kinds, strict=False)]

    def workload(self, axes: Mapping[str, int], recipe: Recipe | None = None) -> Workload:
        """A workload of these axes, with the scalars of a known one; tensors always drawn, never the recorded ones."""
        self._made += 1
        return Workload(
            axes=dict(axes),
            inputs={name: self._input(name) for name in self.definition.inputs},
            uuid=f"hidden-{hashlib.sha256(str(self.seed).encode()).hexdigest()[:12]}-{self._made}",
            recipe=recipe or Recipe(),
        )

    def _input(self, name: str) -> InputSpec:
        known = [spec for w in self.base if isinstance(spec := w.inputs.get(name), ScalarInput)]
        return self.rng.choice(known) if known else RandomInput()


@dataclass(frozen=True)
class Buckets:
    """Regimes by one axis: names like b1, b2-16, b17+ from the prefix and each bucket's last value."""

    axis: str
    prefix: str
    ends: tuple[int, ...]

    def regime(self, definition: Definition, workload: Workload) -> str:
        value, start = workload.axes[self.axis], 1
        for end in self.ends:
            if value <= end:
                return f"{self.prefix}{start}" if start == end else f"{self.prefix}{start}-{end}"
            start = end + 1
        return f"{self.prefix}{start}+"

    def size(self, definition: Definition, workload: Workload) -> float:
        return float(workload.axes[self.axis])
