"""The definition's reference, run in the judge: as written, and in other precisions to learn what error is honest.

The text is the user's own trusted definition. It is run as it stands; precision is changed from outside, by answering each
request for a float type with another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ksearch.definitions.schema import Definition

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

Outputs = list[Any]
AGREEMENT = 0.05
"""Root mean square difference, relative to the reference as written, over which the float64 run is not believed to be the
same computation (16-bit intermediates differ by under 0.01; a misread cast by far more)."""


class ReferenceFailed(Exception):
    """The definition's reference raised, or gave what the definition does not declare: the definition's fault."""


class Reference:
    """`run` of one definition, in three precisions."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        namespace: dict[str, Any] = {"__name__": "reference"}
        try:
            exec(compile(definition.reference, f"<reference of {definition.name}>", "exec"), namespace)  # noqa: S102 - the user's own text
            self._run: Callable[..., Any] = namespace["run"]
        except Exception as error:
            raise ReferenceFailed(f"the reference of {definition.name} can't be loaded: {type(error).__name__}: {error}") from error

    def as_written(self, inputs: Sequence[Any]) -> Outputs:
        """Outputs in the declared dtypes. Raises ReferenceFailed."""
        import torch

        try:
            with torch.no_grad():
                outputs = self._outputs(self._run(*inputs))
        except Exception as error:
            raise ReferenceFailed(f"the reference of {self.definition.name} failed: {type(error).__name__}: {error}") from error
        declared = [getattr(torch, spec.dtype) for spec in self.definition.outputs.values()]
        return [out.to(dtype) for out, dtype in zip(outputs, declared, strict=True)]

    def in_float64(self, inputs: Sequence[Any], written: Outputs) -> Outputs:
        """Float outputs in float64 where the text tolerates that and agrees with itself, else `written` widened."""
        import torch

        found = self._recast(inputs, torch.float64)
        pairs = zip(written, found or written, strict=True)
        return [_believed(native, exact) if native.is_floating_point() else native for native, exact in pairs]

    def in_input_type(self, inputs: Sequence[Any]) -> Outputs | None:
        """With intermediates in bfloat16 or float16, whichever inputs have; None where inputs are float32 or the text fails."""
        import torch

        types = {spec.dtype for spec in self.definition.inputs.values()}
        if not types & {"bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"}:
            return None
        return self._recast(inputs, torch.float16 if "float16" in types else torch.bfloat16)

    def with_rounded_products(self, inputs: Sequence[Any], bits: int) -> Outputs | None:
        """As written, the float32 operands of matrix products rounded to `bits` of mantissa as tensor cores take them (tf32: 10,
        bfloat16: 7); sums in float32. None where the text fails."""
        import torch

        try:
            with torch.no_grad(), _products_rounded_to(bits):
                return self._outputs(self._run(*inputs))
        except Exception:  # noqa: BLE001 - as for `_recast`
            return None

    def _recast(self, inputs: Sequence[Any], target: torch.dtype) -> Outputs | None:
        import torch

        wide = target == torch.float64
        given = [x.to(target) if wide and isinstance(x, torch.Tensor) and x.dtype in _floats() else x for x in inputs]
        try:
            with torch.no_grad(), _every_float_is(target):
                return self._outputs(self._run(*given))
        except Exception:  # noqa: BLE001 - a text that insists on its types: this precision is then not to be had
            return None

    def _outputs(self, returned: Any) -> Outputs:
        names = list(self.definition.outputs)
        if isinstance(returned, dict):
            returned = [returned[name] for name in names]
        outputs = list(returned) if isinstance(returned, tuple | list) else [returned]
        if len(outputs) != len(names):
            raise ValueError(f"{len(outputs)} outputs where {len(names)} are declared")
        return outputs


def _floats() -> set[torch.dtype]:
    import torch

    return {torch.float32, torch.float16, torch.bfloat16}


def _believed(native: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
    import torch

    wide = native.double()
    if exact.dtype != torch.float64 or exact.shape != native.shape:
        return wide
    if not math.isfinite(float(exact.sum() + wide.sum())):
        if not torch.equal(exact.isfinite(), wide.isfinite()):
            return wide
        exact_finite, wide_finite = (torch.where(wide.isfinite(), values, 0.0) for values in (exact, wide))
    else:
        exact_finite, wide_finite = exact, wide
    difference = torch.linalg.vector_norm(exact_finite - wide_finite)
    return wide if float(difference) > AGREEMENT * float(torch.linalg.vector_norm(wide_finite)) else exact


@contextmanager
def _every_float_is(target: torch.dtype) -> Iterator[None]:
    """Within: a request for a 16- or 32-bit float type gets `target`. Reinterpreting views keep the type they name."""
    import torch
    from torch.overrides import TorchFunctionMode

    replaced = _floats()
    casts = {"float", "half", "bfloat16", "double"}

    def swap(value: Any) -> Any:
        return target if isinstance(value, torch.dtype) and value in replaced else value

    class Recast(TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = getattr(func, "__name__", "")
            kwargs = kwargs or {}
            if name == "view":
                return func(*args, **kwargs)
            if name in casts and len(args) == 1 and isinstance(args[0], torch.Tensor):
                return args[0].to(target)
            return func(*[swap(value) for value in args], **{key: swap(value) for key, value in kwargs.items()})

    before = torch.get_default_dtype()
    torch.set_default_dtype(target)
    try:
        with Recast():
            yield
    finally:
        torch.set_default_dtype(before)


PRODUCTS = frozenset({"matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "einsum", "linear", "addmm", "baddbmm"})


@contextmanager
def _products_rounded_to(bits: int) -> Iterator[None]:
    """Within: float32 operands of matrix products are rounded to nearest even."""
    import torch
    from torch.overrides import TorchFunctionMode

    def rounded(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(map(rounded, value))
        return _to_mantissa(value, bits) if isinstance(value, torch.Tensor) and value.dtype == torch.float32 else value

    class Rounded(TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = [rounded(value) for value in args] if getattr(func, "__name__", "") in PRODUCTS else args
            return func(*given, **(kwargs or {}))

    with Rounded():
        yield


def _to_mantissa(value: torch.Tensor, bits: int) -> torch.Tensor:
    """Round to nearest even at `bits` of float32's 23."""
    import torch

    drop = 23 - bits
    raw = value.contiguous().view(torch.int32)
    half = (1 << (drop - 1)) - 1 + ((raw >> drop) & 1)
    return torch.where(value.isfinite(), ((raw + half) >> drop << drop).view(torch.float32), value)
