"""The Monte Carlo tree over optimization plans. Standard library alone; knows nothing of kernels, models or devices."""

from ksearch.tree.constants import DEFAULTS, Constants
from ksearch.tree.errors import IllegalChange, UnknownNode, UnknownTicket
from ksearch.tree.node import Refusal
from ksearch.tree.policy import Policy
from ksearch.tree.promise import Puct
from ksearch.tree.selection import POLICIES, BestOfN, Evolution, Greedy, MeanPuct, Uniform, policy_named
from ksearch.tree.snapshot import Snapshot
from ksearch.tree.tree import Tree
from ksearch.tree.views import ArmOutcome, Counts, Explanation, NodeStatus, NodeView, OptionView, QueuedProposal, StepOutlook

__all__ = [
    "DEFAULTS",
    "POLICIES",
    "ArmOutcome",
    "BestOfN",
    "Constants",
    "Counts",
    "Evolution",
    "Explanation",
    "Greedy",
    "IllegalChange",
    "MeanPuct",
    "NodeStatus",
    "NodeView",
    "OptionView",
    "Policy",
    "Puct",
    "QueuedProposal",
    "Refusal",
    "Snapshot",
    "StepOutlook",
    "Tree",
    "Uniform",
    "UnknownNode",
    "UnknownTicket",
    "policy_named",
]
