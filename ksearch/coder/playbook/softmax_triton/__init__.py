"""Templates of a softmax over rows, in Triton."""

from ksearch.coder.playbook.softmax_triton.family import SoftmaxTriton

FAMILIES = (SoftmaxTriton(),)
