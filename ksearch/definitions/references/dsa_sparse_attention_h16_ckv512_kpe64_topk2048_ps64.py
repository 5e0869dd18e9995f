import math

import torch


def run(
    q_nope: torch.Tensor,
    q_pe: torch.Tensor,
    ckv_cache: torch.Tensor,
    kpe_cache: torch.Tensor,
    sparse_indices: torch.Tensor,
    sm_scale: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Latent attention of each token over its chosen cache entries; lse in base 2. No valid index: output 0, lse -inf."""
    num_tokens, num_qo_heads, _ = q_nope.shape
    all_ckv = ckv_cache.flatten(0, 1)
    all_kpe = kpe_cache.flatten(0, 1)
    output = torch.zeros_like(q_nope)
    lse = torch.full((num_tokens, num_qo_heads), -math.inf, dtype=torch.float32, device=q_nope.device)
    for t in range(num_tokens):
        chosen = sparse_indices[t][sparse_indices[t] >= 0].to(torch.int64)
        if chosen.numel() == 0:
            continue
        ckv = all_ckv[chosen].to(torch.float32)
        kpe = all_kpe[chosen].to(torch.float32)
        logits = (q_nope[t].to(torch.float32) @ ckv.T + q_pe[t].to(torch.float32) @ kpe.T) * sm_scale
        lse[t] = torch.logsumexp(logits, dim=-1) / math.log(2)
        output[t] = (torch.softmax(logits, dim=-1) @ ckv).to(q_nope.dtype)
    return output, lse
