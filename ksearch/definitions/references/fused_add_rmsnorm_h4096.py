import torch


def run(hidden_states: torch.Tensor, residual: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """RMSNorm (epsilon 1e-5) of hidden_states + residual; in float32, rounded once at the end."""
    x = hidden_states.to(torch.float32) + residual.to(torch.float32)
    inverse_rms = torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + 1e-5)
    return (x * inverse_rms * weight.to(torch.float32)).to(hidden_states.dtype)
