"""Templates of RMS normalisation for a GPU: Triton and CUDA C++."""

from ksearch.coder.playbook.rmsnorm_cuda.family import RmsNormCuda

FAMILIES = (RmsNormCuda(),)
