import torch


def run(A: torch.Tensor, A_scale: torch.Tensor, B: torch.Tensor, B_scale: torch.Tensor) -> torch.Tensor:
    """C = dequantised A @ dequantised B.T: A has a scale for each row and 128 columns, B for each 128 x 128 block."""
    block = 128
    a = A.to(torch.float32) * A_scale.repeat_interleave(block, dim=1)
    b = B.to(torch.float32) * B_scale.repeat_interleave(block, dim=0).repeat_interleave(block, dim=1)
    return (a @ b.T).to(torch.bfloat16)
