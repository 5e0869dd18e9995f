import torch
import torch.nn.functional as F


def run(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    state: torch.Tensor,
    A_log: torch.Tensor,
    a: torch.Tensor,
    dt_bias: torch.Tensor,
    b: torch.Tensor,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One step of the gated delta rule on state S [value head, V, K]: S = g S; S += beta (v - S k) k^T; out = scale S q."""
    share = v.shape[2] // q.shape[2]
    queries = q[:, 0].to(torch.float32).repeat_interleave(share, dim=1)
    keys = k[:, 0].to(torch.float32).repeat_interleave(share, dim=1)
    values = v[:, 0].to(torch.float32)
    gate = torch.exp(-torch.exp(A_log) * F.softplus(a[:, 0].to(torch.float32) + dt_bias))
    beta = torch.sigmoid(b[:, 0].to(torch.float32))
    decayed = state * gate[..., None, None]
    error = values - torch.einsum("bhvk,bhk->bhv", decayed, keys)
    new_state = decayed + torch.einsum("bhv,bhk->bhvk", beta.unsqueeze(-1) * error, keys)
    output = scale * torch.einsum("bhvk,bhk->bhv", new_state, queries)
    return output.unsqueeze(1).to(v.dtype), new_state
