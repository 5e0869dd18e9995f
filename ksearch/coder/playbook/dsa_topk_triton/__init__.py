"""Templates of the sparse-attention indexer's top-k (dsa_topk) in Triton."""

from ksearch.coder.playbook.dsa_topk_triton.family import DsaTopkTriton

FAMILIES = (DsaTopkTriton(),)
