"""Templates of the DSA top-k indexer (fp8 paged keys, ReLU-weighted heads) for a CPU: PyTorch and C++."""

from ksearch.coder.playbook.dsa_topk_cpu.family import DsaTopkCpu

FAMILIES = (DsaTopkCpu(),)
