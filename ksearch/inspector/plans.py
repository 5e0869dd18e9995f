"""The tree at the left: a row is made when its parent is opened, so that ten thousand plans cost what is seen of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from ksearch.inspector.panes import branch_label
from ksearch.inspector.rows import Branch

FAN = 300
"""Children that are shown at once: a plan may have thousands, and who reads them wants the best."""


class PlanTree(Tree[int]):
    """Rows carry their node's number; those in `rows` are known, with their children where they were asked for.

    A plan with more than FAN children has a last row that stands for the others; it carries `rest_of(node)`, below zero.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "down", show=False),
        Binding("k", "cursor_up", "up", show=False),
        Binding("right,l", "open_row", "open", show=False),
        Binding("left,h", "close_row", "close", show=False),
        Binding("g,home", "scroll_home", "first", show=False),
        Binding("G,end", "scroll_end", "last", show=False),
    ]

    def __init__(self) -> None:
        super().__init__("reading the log …", data=0, id="plans")
        self.rows: dict[int, TreeNode[int]] = {0: self.root}
        self.branches: dict[int, Branch] = {}
        self._rests: dict[int, TreeNode[int]] = {}
        self._room: dict[int, int] = {}
        self.guide_depth = 2
        self.auto_expand = False

    def show(self, branches: Mapping[int, Branch]) -> None:
        """New or newer rows. A row stays where it stands, lest it move under the cursor; new children come last."""
        for node, branch in branches.items():
            row = self.rows.get(node)
            if row is not None:
                self.branches[node] = branch
                row.set_label(branch_label(branch))
                row.allow_expand = bool(branch.children)

    def fill(self, node: int, branches: Mapping[int, Branch]) -> None:
        """Rows for those children of `node` that are among `branches`."""
        row = self.rows[node]
        rest = self._rests.pop(node, None)
        if rest is not None:
            rest.remove()
        for child in self.branches[node].children:
            if child in branches and child not in self.rows:
                self.rows[child] = row.add("", data=child, allow_expand=False)
        self.show(branches)
        if left := sum(child not in self.rows for child in self.branches[node].children):
            self._rests[node] = row.add_leaf(Text(f"… {left:,} more, right or Enter shows {min(left, FAN)}", "dim"), data=rest_of(node))

    def clear_rows(self) -> None:
        """All but the root's."""
        self.root.remove_children()
        self.rows, self._rests = {0: self.root}, {}

    def missing(self, node: int, wanted: int | None = None) -> tuple[int, ...]:
        """Children of a known node that have no row yet and should have: the first ones as far as there is room, and `wanted`."""
        branch = self.branches.get(node)
        if branch is None:
            return ()
        without = [child for child in branch.children if child not in self.rows]
        room = max(0, self._room.get(node, FAN) - (len(branch.children) - len(without)))
        return tuple(child for at, child in enumerate(without) if at < room or child == wanted)

    def make_room(self, node: int) -> None:
        """For FAN more of a node's children than there are rows for."""
        self._room[node] = FAN + sum(child in self.rows for child in self.branches[node].children)

    @property
    def opened(self) -> list[int]:
        """Known nodes whose children have rows, or will have as soon as there are any."""
        return [node for node, row in self.rows.items() if row.children or row.is_expanded]

    def select(self, node: int) -> None:
        row = self.rows[node]
        above = row.parent
        while above is not None:
            above.expand()
            above = above.parent
        self.call_after_refresh(self.move_cursor, row, animate=False)

    def action_open_row(self) -> None:
        row = self.cursor_node
        if row is not None and row.data is not None and row.data < 0:
            self.post_message(self.NodeSelected(row))
        if row is None or not row.allow_expand:
            return
        if row.is_expanded:
            self.action_cursor_down()
        else:
            row.expand()

    def action_close_row(self) -> None:
        row = self.cursor_node
        if row is None:
            return
        if row.is_expanded and row.children:
            row.collapse()
        elif row.parent is not None:
            self.move_cursor(row.parent, animate=False)


def rest_of(node: int) -> int:
    """What the row carries that stands for a node's further children; the other way round as well."""
    return -1 - node
