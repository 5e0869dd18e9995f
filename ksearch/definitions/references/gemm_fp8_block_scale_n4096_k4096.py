import torch


def dequantised(matrix: torch.Tensor, scale: torch.Tensor, rows: int) -> torch.Tensor:
    """In float32, from fp8 values and a scale for each block of `rows` x 128."""
    blocks = matrix.to(torch.float32).unflatten(0, (-1, rows)).unflatten(2, (-1, 128))
    return (blocks * scale[:, None, :, None]).flatten(2, 3).flatten(0, 1)


def run(A: torch.Tensor, A_scale: torch.Tensor, B: torch.Tensor, B_scale: torch.Tensor) -> torch.Tensor:
    """C = dequantised A @ dequantised B.T: A has a scale for each row and 128 columns, B for each 128 x 128 block."""
    return (dequantised(A, A_scale, 1) @ dequantised(B, B_scale, 128).T).to(torch.bfloat16)
