"""The Monte Carlo tree over plans: pure, synchronous, standard library only."""

from ksearch.tree.selection import policy_named
from ksearch.tree.tree import IllegalChange, Tree, UnknownTicket
from ksearch.tree.types import Action, Plan, Ticket, plan_key
from ksearch.tree.views import NodeView, explain, views

__all__ = [
    "Action",
    "IllegalChange",
    "NodeView",
    "Plan",
    "Ticket",
    "Tree",
    "UnknownTicket",
    "explain",
    "plan_key",
    "policy_named",
    "views",
]
