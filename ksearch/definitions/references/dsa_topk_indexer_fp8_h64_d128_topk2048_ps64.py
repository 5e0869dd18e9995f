import torch


def unpack(cache: torch.Tensor) -> torch.Tensor:
    """Keys [num_pages, 64, 128] in float32: a page is 64 * 128 fp8 bytes, token-major, then the 64 tokens' float32 scales."""
    num_pages, page_size, _, width = cache.shape
    head_dim = width - 4
    pages = cache.reshape(num_pages, page_size * width)
    keys = pages[:, : page_size * head_dim].contiguous().view(torch.float8_e4m3fn)
    scales = pages[:, page_size * head_dim :].contiguous().view(torch.float32)
    return keys.reshape(num_pages, page_size, head_dim).to(torch.float32) * scales.unsqueeze(-1)


def run(
    q_index_fp8: torch.Tensor,
    k_index_cache_fp8: torch.Tensor,
    weights: torch.Tensor,
    seq_lens: torch.Tensor,
    block_table: torch.Tensor,
) -> torch.Tensor:
    """Global indices of each request's highest scores, in no promised order; -1 after the last."""
    topk = 2048
    page_size = k_index_cache_fp8.shape[1]
    q = q_index_fp8.to(torch.float32)
    keys = unpack(k_index_cache_fp8)
    indices = torch.full((q.shape[0], topk), -1, dtype=torch.int32, device=q.device)
    for b, length in enumerate(seq_lens.tolist()):
        if length == 0:
            continue
        pages = block_table[b, : (length + page_size - 1) // page_size].to(torch.int64)
        k = keys[pages].flatten(0, 1)[:length]
        scores = (torch.relu(q[b] @ k.T) * weights[b].unsqueeze(-1)).sum(dim=0)
        chosen = torch.topk(scores, min(topk, length)).indices
        indices[b, : chosen.numel()] = (pages[chosen // page_size] * page_size + chosen % page_size).to(torch.int32)
    return indices
