import torch
import torch.nn.functional as F


def route(routing_logits: torch.Tensor, routing_bias: torch.Tensor, factor: float) -> tuple[torch.Tensor, torch.Tensor]:
    """DeepSeek-V3's choice: experts [T, 8] and their weights [T, 8]. The bias decides who is chosen, never the weight."""
    scores = torch.sigmoid(routing_logits.to(torch.float32))
    biased = scores + routing_bias.to(torch.float32)
    groups = biased.unflatten(1, (8, -1))
    best_groups = groups.topk(2, dim=-1).values.sum(dim=-1).topk(4, dim=-1).indices
    kept = torch.zeros(groups.shape[:2], dtype=torch.bool, device=groups.device).scatter_(1, best_groups, True)
    experts = groups.masked_fill(~kept.unsqueeze(-1), float("-inf")).flatten(1).topk(8, dim=-1).indices
    chosen = scores.gather(1, experts)
    return experts, factor * chosen / chosen.sum(dim=-1, keepdim=True)


def dequantised(weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """One expert's matrix in float32, from its fp8 values and a scale for each 128 x 128 block."""
    blocks = weight.to(torch.float32).unflatten(0, (-1, 128)).unflatten(2, (-1, 128))
    return (blocks * scale[:, None, :, None]).flatten(2, 3).flatten(0, 1)


def run(
    routing_logits: torch.Tensor,
    routing_bias: torch.Tensor,
    hidden_states: torch.Tensor,
    hidden_states_scale: torch.Tensor,
    gemm1_weights: torch.Tensor,
    gemm1_weights_scale: torch.Tensor,
    gemm2_weights: torch.Tensor,
    gemm2_weights_scale: torch.Tensor,
    local_expert_offset: int,
    routed_scaling_factor: float,
) -> torch.Tensor:
    """What the 32 local experts add to each token: GEMM1 to [X1 | X2], silu(X2) * X1, GEMM2, weighted and summed."""
    experts, weights = route(routing_logits, routing_bias, routed_scaling_factor)
    blocks = hidden_states.to(torch.float32).unflatten(1, (-1, 128))
    hidden = (blocks * hidden_states_scale.T.unsqueeze(-1)).flatten(1)
    output = torch.zeros_like(hidden)
    for local in range(gemm1_weights.shape[0]):
        tokens, slots = torch.nonzero(experts == local + local_expert_offset, as_tuple=True)
        if tokens.numel() == 0:
            continue
        up = hidden[tokens] @ dequantised(gemm1_weights[local], gemm1_weights_scale[local]).T
        x1, x2 = up.chunk(2, dim=-1)
        down = (F.silu(x2) * x1) @ dequantised(gemm2_weights[local], gemm2_weights_scale[local]).T
        output.index_add_(0, tokens, down * weights[tokens, slots].unsqueeze(-1))
    return output.to(torch.bfloat16)
