"""Templates of a matrix product C = A B^T with constant B's shape, in Triton."""

from ksearch.coder.playbook.gemm_triton.family import GemmTriton

FAMILIES = (GemmTriton(),)
