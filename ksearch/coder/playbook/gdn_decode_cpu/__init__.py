"""Templates of one gated delta net decode step for a CPU: PyTorch and C++."""

from ksearch.coder.playbook.gdn_decode_cpu.family import GdnDecodeCpu

FAMILIES = (GdnDecodeCpu(),)
