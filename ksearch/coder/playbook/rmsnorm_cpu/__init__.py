"""Templates of RMS normalisation in bfloat16 for a CPU: PyTorch and C++."""

from ksearch.coder.playbook.rmsnorm_cpu.family import RmsNormCpu

FAMILIES = (RmsNormCpu(),)
