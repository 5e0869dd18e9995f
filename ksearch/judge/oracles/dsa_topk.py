"""Oracle of paged top-k indexing (DSA): order and ties are free, so indices are judged by the scores they stand for.

Every index must be reachable (its page in the request's block table, its position below the length) and unique, and the
number of -1 must be right; then the scores of the chosen tokens, sorted, must match the best scores, sorted. The unit is the
root mean square of the row's own scores. At each rank the two may differ by what tokens close to each other may change places
by; over all ranks together by next to nothing, because only the few tokens at the edge of the choice can change places
honestly. Scores are float32, from the judge's pristine inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ksearch.definitions.schema import Definition
from ksearch.judge.oracles.base import Draw, Errors, Expectation, Problem

if TYPE_CHECKING:
    import torch

RANK_TOLERANCE = 1.5e-3
"""Of the scores' rms. Emulated on rows of 2500 to 30000 tokens: keys rounded to tf32 or float16, products in float16, and sums as
fp8 tensor cores keep them (13 bits) moved single scores by at most 1.3e-3, and the score at any rank by at most 3e-4. Scores in
bfloat16 moved it by up to 2.9e-3, and are not meant to pass."""
MEAN_TOLERANCE = 5e-6
"""Mean over the ranks, of the scores' rms: at most 2e-7 for the same variants, which differ in a token or two of 2048."""
INPUTS = ("q_index_fp8", "k_index_cache_fp8", "weights", "seq_lens", "block_table")
OUTPUT = "topk_indices"


@dataclass(frozen=True, slots=True)
class _Row:
    """One request: its pages in order, its length; the scores of all its tokens when it is longer than k."""

    pages: torch.Tensor
    length: int
    scores: torch.Tensor | None


class DsaTopkOracle:
    exact = False

    def __init__(self, definition: Definition) -> None:
        self.page_size = definition.const_axes["page_size"]
        self.topk = definition.const_axes["topk"]

    @staticmethod
    def recognises(definition: Definition) -> bool:
        return (
            tuple(definition.inputs) == INPUTS
            and tuple(definition.outputs) == (OUTPUT,)
            and {"page_size", "topk"} <= set(definition.const_axes)
        )

    def expect(self, workload: str, inputs: tuple[Any, ...], draw: Draw | None = None) -> Expectation:
        lengths = inputs[3].tolist()
        return Expectation(inputs, [self._row(inputs, b, length) for b, length in enumerate(lengths)])

    def _row(self, inputs: tuple[Any, ...], b: int, length: int) -> _Row:
        import torch

        queries, cache, weights, _, table = inputs
        pages = table[b, : (length + self.page_size - 1) // self.page_size].to(torch.int64)
        scores = None
        if length > self.topk:
            keys = self._keys(cache[pages])[:length]
            products = torch.relu(queries[b].to(torch.float32) @ keys.T)
            scores = (products * weights[b].to(torch.float32).unsqueeze(1)).sum(0).cpu()
        return _Row(pages.cpu(), length, scores)

    def _keys(self, pages: torch.Tensor) -> torch.Tensor:
        """[tokens, head_dim] float32 of packed pages: all fp8 rows of a page, then one float32 scale for each token."""
        import torch

        dim = pages.shape[-1] - 4
        flat = pages.reshape(pages.shape[0], -1)
        split = self.page_size * dim
        values = flat[:, :split].contiguous().view(torch.float8_e4m3fn).reshape(-1, dim).to(torch.float32)
        return values * flat[:, split:].contiguous().view(torch.float32).reshape(-1, 1)

    def check(self, expectation: Expectation, outputs: Sequence[Any]) -> Problem | Errors:
        worst = 0.0
        for b, row in enumerate(expectation.content):
            found = self._check_row(b, row, outputs[0][b])
            if isinstance(found, Problem):
                return found
            worst = max(worst, found)
        return Errors(max_abs=worst)

    def _check_row(self, b: int, row: _Row, chosen: torch.Tensor) -> Problem | float:
        """The largest score difference of a right row."""
        import torch

        count = min(self.topk, row.length)
        valid = chosen != -1
        if int(valid.sum()) != count:
            return Problem(f"{OUTPUT}[{b}] has {int(valid.sum())} indices where {count} are due", f"{OUTPUT}[{b}]")
        where = valid.nonzero().reshape(-1)
        indices = chosen[valid].to(torch.int64)
        positions = self._positions(row, indices)
        if bool((lost := positions < 0).any()):
            place = int(where[lost.nonzero()[0, 0]])
            return Problem(f"{OUTPUT}[{b}, {place}]: token {int(chosen[place])} is not one of the request's", f"{OUTPUT}[{b}, {place}]")
        ordered, order = positions.sort(stable=True)
        if bool((twice := ordered[1:] == ordered[:-1]).any()):
            place = int(where[order[int(twice.nonzero()[0]) + 1]])
            return Problem(f"{OUTPUT}[{b}, {place}]: token {int(chosen[place])} is chosen twice", f"{OUTPUT}[{b}, {place}]")
        return self._scores(b, row, positions)

    def _positions(self, row: _Row, indices: torch.Tensor) -> torch.Tensor:
        """Position in the request of each global index; -1 for one it can't reach."""
        import torch

        if not len(row.pages):
            return torch.full_like(indices, -1)
        pages, order = row.pages.sort()
        wanted = indices // self.page_size
        slot = torch.searchsorted(pages, wanted).clamp(max=len(pages) - 1)
        position = order[slot] * self.page_size + indices % self.page_size
        reachable = (pages[slot] == wanted) & (indices >= 0) & (position < row.length)
        return torch.where(reachable, position, -1)

    def _scores(self, b: int, row: _Row, positions: torch.Tensor) -> Problem | float:
        if row.scores is None:
            return 0.0
        best = row.scores.topk(self.topk).values
        got = row.scores[positions].sort(descending=True).values
        difference = (best - got).abs()
        unit = float(row.scores.square().mean().sqrt()) or 1.0
        wrong = difference > RANK_TOLERANCE * unit
        if bool(wrong.any()):
            rank = int(wrong.nonzero()[0])
            note = f"the score of rank {rank} is {float(got[rank]):.6g}, expected {float(best[rank]):.6g}"
            limit = f"{int(wrong.sum())} ranks are off by over {RANK_TOLERANCE:g} of the scores' rms, {unit:.3g}"
            return Problem(f"{OUTPUT}[{b}]: {note}; {limit}", f"{OUTPUT}[{b}] rank {rank}")
        if float(difference.mean()) > MEAN_TOLERANCE * unit:
            rank = int(difference.argmax())
            note = f"scores are off by {float(difference.mean()) / unit:.3g} of their rms on average, at most {MEAN_TOLERANCE:g} is allowed"
            return Problem(f"{OUTPUT}[{b}]: {note}: too many tokens that are not among the best", f"{OUTPUT}[{b}] rank {rank}")
        return float(difference.max())

    def refuse_nonsense(self, expectation: Expectation) -> None:
        """Zeros, constants and rescaled indices repeat tokens or leave the table: nothing of a float's kind can pass."""
