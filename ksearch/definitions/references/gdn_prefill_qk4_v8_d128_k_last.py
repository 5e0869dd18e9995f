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
    cu_seqlens: torch.Tensor,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The gated delta rule over packed sequences, each from its own state S [value head, V, K]; an empty one keeps it.

    A step is S = g S; S += beta (v - S k) k^T; out = scale S q. All sequences that still have a token advance together:
    they are kept longest first, so that those are always the leading ones.
    """
    share = v.shape[1] // q.shape[1]
    queries = q.to(torch.float32).repeat_interleave(share, dim=1)
    keys = k.to(torch.float32).repeat_interleave(share, dim=1)
    values = v.to(torch.float32)
    gate = torch.exp(-torch.exp(A_log) * F.softplus(a.to(torch.float32) + dt_bias))
    beta = torch.sigmoid(b.to(torch.float32))
    lengths, order = torch.sort(cu_seqlens.diff(), descending=True, stable=True)
    starts = cu_seqlens[:-1][order]
    running = state[order].to(torch.float32)
    output = torch.empty_like(values)
    remaining = lengths.tolist()
    for t in range(remaining[0] if remaining else 0):
        while remaining[-1] <= t:
            remaining.pop()
        active = len(remaining)
        rows = starts[:active] + t
        decayed = running[:active] * gate[rows][..., None, None]
        error = values[rows] - torch.einsum("nhvk,nhk->nhv", decayed, keys[rows])
        running[:active] = decayed + torch.einsum("nhv,nhk->nhvk", beta[rows].unsqueeze(-1) * error, keys[rows])
        output[rows] = scale * torch.einsum("nhvk,nhk->nhv", running[:active], queries[rows])
    new_state = torch.empty_like(running)
    new_state[order] = running
    return output.to(v.dtype), new_state
