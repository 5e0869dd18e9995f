"""Templates of one gated delta net decode step for a GPU: Triton and CUDA C++."""

from ksearch.coder.playbook.gdn_decode_cuda.family import GdnDecodeCuda

FAMILIES = (GdnDecodeCuda(),)
