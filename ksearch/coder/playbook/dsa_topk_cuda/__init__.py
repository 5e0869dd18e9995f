"""Templates of the DSA top-k indexer (fp8 paged keys, ReLU-weighted heads) for NVIDIA GPUs, in CUDA C++."""

from ksearch.coder.playbook.dsa_topk_cuda.family import DsaTopkCuda

FAMILIES = (DsaTopkCuda(),)
