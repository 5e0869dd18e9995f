import math

import torch


def run(
    q_nope: torch.Tensor,
    q_pe: torch.Tensor,
    ckv_cache: torch.Tensor,
    kpe_cache: torch.Tensor,
    kv_indptr: torch.Tensor,
    kv_indices: torch.Tensor,
    sm_scale: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Latent attention after absorption: keys are [ckv, kpe], values ckv; lse in base 2. Without tokens: output 0, lse -inf."""
    batch_size, num_qo_heads, _ = q_nope.shape
    output = torch.zeros_like(q_nope)
    lse = torch.full((batch_size, num_qo_heads), -math.inf, dtype=torch.float32, device=q_nope.device)
    offsets = kv_indptr.tolist()
    for b in range(batch_size):
        if offsets[b] == offsets[b + 1]:
            continue
        tokens = kv_indices[offsets[b] : offsets[b + 1]].to(torch.int64)
        ckv = ckv_cache[tokens, 0].to(torch.float32)
        kpe = kpe_cache[tokens, 0].to(torch.float32)
        logits = (q_nope[b].to(torch.float32) @ ckv.T + q_pe[b].to(torch.float32) @ kpe.T) * sm_scale
        lse[b] = torch.logsumexp(logits, dim=-1) / math.log(2)
        output[b] = (torch.softmax(logits, dim=-1) @ ckv).to(q_nope.dtype)
    return output, lse
