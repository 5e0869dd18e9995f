import torch


def run(logits: torch.Tensor) -> torch.Tensor:
    """Softmax of each row, shifted by its largest logit so that nothing overflows."""
    x = logits.to(torch.float32)
    e = torch.exp(x - x.amax(dim=-1, keepdim=True))
    return e / e.sum(dim=-1, keepdim=True)
