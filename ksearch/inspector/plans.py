"""The tree at the left: a row is made when its parent is opened, so that ten thousand plans cost what is seen of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from ksearch.inspector.looks import Branch
from ksearch.inspector.panes import branch_label


class PlanTree(Tree[int]):
    """Rows carry their node's number; those in `rows` are known, with their children where they were asked for."""

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
        """Rows for the children of `node`, which are among `branches`."""
        row = self.rows[node]
        for child in self.branches[node].children:
            if child not in self.rows:
                self.rows[child] = row.add("", data=child, allow_expand=False)
        self.show(branches)

    def missing(self, node: int) -> tuple[int, ...]:
        """Children of a known node that have no row yet."""
        branch = self.branches.get(node)
        return () if branch is None else tuple(child for child in branch.children if child not in self.rows)

    @property
    def opened(self) -> list[int]:
        """Known nodes whose children have rows."""
        return [node for node, row in self.rows.items() if row.children]

    def select(self, node: int) -> None:
        row = self.rows[node]
        above = row.parent
        while above is not None:
            above.expand()
            above = above.parent
        self.call_after_refresh(self.move_cursor, row, animate=False)

    def action_open_row(self) -> None:
        row = self.cursor_node
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
