"""Oracle of a mixture of experts in fp8 (DeepSeek-V3 routing, block scales): no expert may be missing, however little it says.

Real kernels quantise what goes into the second product to fp8 again, block by block, and that costs 2 to 3 % of a row: an honest
variant here, so that row errors may be larger than for other operators. What may not be spent of it is structure. The error of each
token is projected on what each of its experts contributes: rounding has next to nothing in common with any of them, while an expert
left out, or weighted wrongly, shows as minus one times its contribution, or some share of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ksearch.definitions.schema import Definition
from ksearch.judge.oracles.base import Draw, Errors, Expectation, Problem
from ksearch.judge.oracles.tolerance import ToleranceOracle
from ksearch.judge.reference import Reference

if TYPE_CHECKING:
    import torch

INPUTS = (
    "routing_logits", "routing_bias", "hidden_states", "hidden_states_scale", "gemm1_weights", "gemm1_weights_scale",
    "gemm2_weights", "gemm2_weights_scale", "local_expert_offset", "routed_scaling_factor",
)  # fmt: skip
GROUPS, KEPT_GROUPS, CHOSEN = 8, 4, 8
BLOCK = 128
FP8_MAX = 448.0
LOOKED_AT = 256
"""Tokens whose experts are told apart, drawn in secret: all where there are no more."""
OF_ONE = 0.4
"""Of an expert's contribution to one token: how much of it the error may look like. Rounding gets to 0.1 where it is the least of eight."""
OF_ALL = 0.05
"""The same over all tokens of an expert."""
OF_THE_WHOLE = 0.01
"""The same over all experts: rounding, even to fp8, leans by under 0.003 for a single token of 256 values, and by less for more."""
AGREEMENT = 0.02
"""Relative error to which the arithmetic here must be the reference's, or the definition is another operator."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is right, and what each routed pair adds to it: token, local expert, contribution [pairs, hidden]."""

    whole: Any
    tokens: torch.Tensor
    experts: torch.Tensor
    added: torch.Tensor


class MoeOracle(ToleranceOracle):
    def __init__(self, definition: Definition, reference: Reference) -> None:
        super().__init__(definition, reference)
        self._ours = True

    @staticmethod
    def recognises(definition: Definition) -> bool:
        if tuple(definition.inputs) != INPUTS or len(definition.outputs) != 1:
            return False
        return all(definition.inputs[name].dtype == "float8_e4m3fn" for name in ("gemm1_weights", "gemm2_weights"))

    def expect(self, workload: str, inputs: tuple[Any, ...], draw: Draw | None = None) -> Expectation:
        found = super().expect(workload, inputs, draw)
        tokens = int(inputs[0].shape[0])
        chosen = sorted(secrets.SystemRandom().sample(range(tokens), min(tokens, LOOKED_AT)))
        parts = _contributions(inputs, chosen)
        return Expectation(found.inputs, _Parts(found.content, *(value.cpu() for value in parts)))

    def _honest(self, inputs: tuple[Any, ...], written: list[Any]) -> list[list[Any]]:
        tokens = list(range(int(inputs[0].shape[0])))
        variants = super()._honest(inputs, written)
        for quantised in (False, True):
            of, _, added = _contributions(inputs, tokens, quantised=quantised)
            summed = added.new_zeros(written[0].shape).index_add_(0, of, added)
            if not quantised and float((summed - written[0].float()).norm()) > AGREEMENT * float(written[0].float().norm()):
                self._ours = False
                return variants
        return [*variants, [summed.to(written[0].dtype)]]

    def check(self, expectation: Expectation, outputs: Sequence[Any]) -> Problem | Errors:
        parts: _Parts = expectation.content
        found = super().check(Expectation(expectation.inputs, parts.whole), outputs)
        if isinstance(found, Problem) or not self._ours or not len(parts.tokens):
            return found
        return self._missing(parts, outputs[0].double() - parts.whole.exact[0]) or found

    def _missing(self, parts: _Parts, error: torch.Tensor) -> Problem | None:
        """Experts that the error looks like."""
        import torch

        name, truth = self.names[0], parts.whole.exact[0]
        whole = float((error * truth).sum() / truth.square().sum().clamp_min(1e-300))
        if abs(whole) > OF_THE_WHOLE:
            return Problem(f"{name}: {whole:+.2g} of everything is missing or too much, at most {OF_THE_WHOLE} is allowed", name)
        added = parts.added.double()
        along, size = (error[parts.tokens] * added).sum(1), added.square().sum(1)
        heard = size > 1e-6 * truth[parts.tokens].square().sum(1)
        share = torch.where(heard, along / size.clamp_min(1e-300), 0.0)
        worst = int(share.abs().argmax())
        if abs(float(share[worst])) > OF_ONE:
            token, expert = int(parts.tokens[worst]), int(parts.experts[worst])
            note = f"local expert {expert} is off by {float(share[worst]):+.2g} of what it adds, at most {OF_ONE} is allowed"
            return Problem(f"{name}[{token}]: {note}", f"{name}[{token}]")
        count = int(parts.experts.max()) + 1
        sums = [error.new_zeros(count).index_add_(0, parts.experts, values) for values in (along, size)]
        shares = sums[0] / sums[1].clamp_min(1e-300)
        expert = int(shares.abs().argmax())
        if abs(float(shares[expert])) > OF_ALL:
            note = f"local expert {expert} is off by {float(shares[expert]):+.2g} of all that it adds, at most {OF_ALL} is allowed"
            return Problem(f"{name}: {note}", f"{name} expert {expert}")
        return None

    def refuse_nonsense(self, expectation: Expectation) -> None:
        super().refuse_nonsense(Expectation(expectation.inputs, expectation.content.whole))


def _contributions(inputs: tuple[Any, ...], chosen: list[int], *, quantised: bool = False) -> tuple[Any, Any, Any]:
    """(token, local expert, what it adds [pairs, hidden] in float32) of every routed pair of the chosen tokens."""
    import torch

    logits, bias, states, states_scale, up, up_scale, down, down_scale, offset, factor = inputs
    picked = torch.tensor(chosen, dtype=torch.int64, device=logits.device)
    experts, weights = _route(logits[picked], bias, factor)
    hidden = (states[picked].float().unflatten(1, (-1, BLOCK)) * states_scale[:, picked].T.unsqueeze(-1)).flatten(1)
    found: list[tuple[Any, Any, Any]] = []
    for local in range(up.shape[0]):
        rows, slots = torch.nonzero(experts == local + offset, as_tuple=True)
        if not rows.numel():
            continue
        first, second = (hidden[rows] @ _widened(up[local], up_scale[local]).T).chunk(2, dim=-1)
        inner = torch.nn.functional.silu(second) * first
        added = (_through_fp8(inner) if quantised else inner) @ _widened(down[local], down_scale[local]).T
        found.append((picked[rows], torch.full_like(rows, local), added * weights[rows, slots].unsqueeze(-1)))
    if not found:
        return picked[:0], picked[:0], hidden.new_zeros(0, down.shape[1])
    tokens, which, added = zip(*found, strict=True)
    return torch.cat(tokens), torch.cat(which), torch.cat(added)


def _route(logits: torch.Tensor, bias: torch.Tensor, factor: float) -> tuple[torch.Tensor, torch.Tensor]:
    """DeepSeek-V3: the best two of each group choose four groups, the best eight of those are taken; the bias only chooses."""
    import torch

    scores = torch.sigmoid(logits.float())
    groups = (scores + bias.float()).unflatten(1, (GROUPS, -1))
    best = groups.topk(2, dim=-1).values.sum(-1).topk(KEPT_GROUPS, dim=-1).indices
    kept = torch.zeros(groups.shape[:2], dtype=torch.bool, device=logits.device).scatter_(1, best, True)
    experts = groups.masked_fill(~kept.unsqueeze(-1), float("-inf")).flatten(1).topk(CHOSEN, dim=-1).indices
    taken = scores.gather(1, experts)
    return experts, factor * taken / taken.sum(-1, keepdim=True)


def _widened(weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    blocks = weight.float().unflatten(0, (-1, BLOCK)).unflatten(2, (-1, BLOCK))
    return (blocks * scale[:, None, :, None]).flatten(2, 3).flatten(0, 1)


def _through_fp8(values: torch.Tensor) -> torch.Tensor:
    """To fp8 and back, with a scale for each block of 128."""
    import torch

    blocks = values.unflatten(-1, (-1, BLOCK))
    scale = blocks.abs().amax(-1, keepdim=True).clamp_min(1e-12) / FP8_MAX
    return ((blocks / scale).to(torch.float8_e4m3fn).float() * scale).flatten(-2)
