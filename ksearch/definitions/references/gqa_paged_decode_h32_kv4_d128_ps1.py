import math

import torch


def run(
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    kv_indptr: torch.Tensor,
    kv_indices: torch.Tensor,
    sm_scale: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One query token for each request over its cached tokens; lse in base 2. Without tokens: output 0, lse -inf."""
    batch_size, num_qo_heads, head_dim = q.shape
    num_kv_heads = k_cache.shape[2]
    group = num_qo_heads // num_kv_heads
    output = torch.zeros_like(q)
    lse = torch.full((batch_size, num_qo_heads), -math.inf, dtype=torch.float32, device=q.device)
    offsets = kv_indptr.tolist()
    for b in range(batch_size):
        if offsets[b] == offsets[b + 1]:
            continue
        tokens = kv_indices[offsets[b] : offsets[b + 1]].to(torch.int64)
        k = k_cache[tokens, 0].to(torch.float32)
        v = v_cache[tokens, 0].to(torch.float32)
        queries = q[b].to(torch.float32).reshape(num_kv_heads, group, head_dim)
        logits = torch.einsum("hgd,thd->hgt", queries, k) * sm_scale
        lse[b] = torch.logsumexp(logits, dim=-1).flatten() / math.log(2)
        attended = torch.einsum("hgt,thd->hgd", torch.softmax(logits, dim=-1), v)
        output[b] = attended.reshape(num_qo_heads, head_dim).to(q.dtype)
    return output, lse
