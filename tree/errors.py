"""What can be wrong with a change or a ticket."""

from __future__ import annotations


class UnknownTicket(LookupError):
    """No ticket of this number was ever issued by this tree."""

    def __init__(self, ticket: int) -> None:
        super().__init__(f"ticket {ticket} was never issued by this tree; tell only tickets returned by ask")


class UnknownNode(LookupError):
    """No node of this number stands in this tree."""

    def __init__(self, node: int, size: int) -> None:
        super().__init__(f"there is no node {node}: this tree has nodes 0 to {size - 1}")


class IllegalChange(ValueError):
    """A change that can't follow the tree's present state: a damaged log, a second writer, or an outcome of the wrong kind."""
