"""Measures of an output's error, and what of each is allowed whatever honest arithmetic gives (see `tolerance`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

ROW_FLOORS = {"float64": 1e-12, "float32": 2.0**-16, "float16": 2.0**-10, "bfloat16": 2.0**-8}
"""Least row tolerance. float32: some hundred roundings, well below tf32's 2^-11; 16-bit: one unit in the last place."""
ROW_FLOOR_8BIT = 2.0**-3
GLOBAL_OVER_ROW = 5.0
"""The largest of many errors, over their root mean square: normals reach 4 to 5."""
BAND = 64
"""Columns: the narrowest tile that a kernel would skip."""
SHARE_OVER_ROW = 1 / 8
"""Floor of the missing share, of the row's floor, for many rows; one rounding that a whole row shares leans as far as the row."""


@dataclass(frozen=True, slots=True)
class Measures:
    """Errors of one output by the four measures, or the limits of them."""

    row: float = 0.0
    band: float = 0.0
    largest: float = 0.0
    share: float = 0.0

    def worst(self, other: Measures) -> Measures:
        return Measures(
            max(self.row, other.row), max(self.band, other.band), max(self.largest, other.largest), max(self.share, other.share)
        )

    def times(self, factor: float) -> Measures:
        return Measures(self.row * factor, self.band * factor, self.largest * factor, self.share * factor)


def floors(dtype: str, rows: int) -> Measures:
    """What is allowed whatever the honest variants did."""
    row = ROW_FLOORS.get(dtype, ROW_FLOOR_8BIT)
    return Measures(row, row, GLOBAL_OVER_ROW * row, row * max(SHARE_OVER_ROW, max(1, rows) ** -0.5))


def rows_of(values: torch.Tensor) -> torch.Tensor:
    return values.reshape(-1, values.shape[-1]) if values.dim() > 1 else values.reshape(1, -1)


def all_finite(values: torch.Tensor) -> bool:
    """By way of the sum: several times faster than element by element, and an overflow only costs time."""
    return math.isfinite(float(values.sum())) or bool(values.isfinite().all())


@dataclass(frozen=True, slots=True)
class OutputErrors:
    """Of one output: absolute, by row and by band relative to the norm there, the missing share, and the reference's rms."""

    absolute: torch.Tensor
    rows: torch.Tensor
    bands: torch.Tensor
    share: float
    rms: float

    @property
    def measures(self) -> Measures:
        return Measures(float(self.rows.max()), float(self.bands.max()), float(self.absolute.max()) / (self.rms or 1.0), self.share)


def errors_of(truth: torch.Tensor, out: torch.Tensor) -> OutputErrors:
    """Where either is not finite there is no error here (agreement was checked). A row or band of zeros is measured by the typical."""
    import torch

    if all_finite(truth) and all_finite(out):
        error, size = out - truth, truth
    else:
        finite = truth.isfinite() & out.isfinite()
        error, size = torch.where(finite, out - truth, 0.0), torch.where(finite, truth, 0.0)
    whole = float(torch.linalg.vector_norm(size))
    rms = whole / max(1, size.numel()) ** 0.5
    error_rows, size_rows = rows_of(error), rows_of(size)
    share = abs(float((error_rows * size_rows).sum())) / (whole**2 or 1.0)
    rows = _relative(error_rows, size_rows, rms)
    bands = _relative(_bands(error_rows), _bands(size_rows), rms)
    return OutputErrors(error.abs_(), rows, bands, share, rms)


def _relative(error: torch.Tensor, size: torch.Tensor, rms: float) -> torch.Tensor:
    import torch

    norms = torch.linalg.vector_norm(size, dim=1)
    return torch.linalg.vector_norm(error, dim=1) / torch.where(norms > 0, norms, rms * size.shape[1] ** 0.5 or 1.0)


def _bands(rows: torch.Tensor) -> torch.Tensor:
    """[bands, values]: 64 columns through all rows; what is narrower is one band. Columns past the last whole band are left to the rows."""
    width = rows.shape[1]
    if width <= BAND:
        return rows.reshape(1, -1)
    whole = width // BAND * BAND
    return rows[:, :whole].reshape(rows.shape[0], -1, BAND).transpose(0, 1).reshape(whole // BAND, -1)
