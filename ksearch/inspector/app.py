"""The inspector: plans at the left, one of them at the right, the run above; it follows a run that goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from rich.console import RenderableType
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.timer import Timer
from textual.widgets import Footer, Static, TabbedContent, TabPane, Tree

from ksearch.errors import KsearchError
from ksearch.inspector.panes import beliefs_pane, code_pane, diff_pane, head_text, node_pane, story_pane
from ksearch.inspector.plans import PlanTree, rest_of
from ksearch.inspector.reader import Reader
from ksearch.inspector.rows import Branch, Head, branches_of, head_of
from ksearch.inspector.screens import Find, Help
from ksearch.records.reading import StoredRun
from ksearch.report.text import inert
from ksearch.store.fold import RunState
from ksearch.tree.types import ROOT, NodeId

if TYPE_CHECKING:
    from ksearch.inspector.looks import Look

POLL_S = 1.0
FIRST_PART, PART = 500, 8000
"""Events that are folded at once when a run is opened: few at first, so that there is something to look at, then ever more."""

SETTLE_S = 0.08
"""A cursor that rests this long is looked at; one on its way isn't."""

TABS = {"plan": "1 plan", "why": "2 why", "code": "3 code", "diff": "4 diff", "beliefs": "5 beliefs"}

T = TypeVar("T")


class Inspector(App[None]):
    TITLE = "ksearch"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "keys"),
        Binding("i", "incumbent", "incumbent"),
        Binding("slash", "find", "find"),
        Binding("n", "found(1)", "next", show=False),
        Binding("N", "found(-1)", "previous", show=False),
        Binding("f", "follow", "follow"),
        Binding("r", "sort", "sort"),
        *(Binding(str(number), f"tab('{name}')", name, show=False) for number, name in enumerate(TABS, 1)),
        Binding("tab", "other_side", "other side", show=False, priority=True),
        Binding("q", "quit", "leave"),
    ]
    CSS = """
    #head { height: auto; max-height: 5; padding: 0 1; border-bottom: solid $primary; }
    #plans { width: 45%; min-width: 30; border-right: solid $primary; padding: 0; }
    TabbedContent { width: 1fr; }
    TabPane { padding: 0 1; }
    VerticalScroll:focus { background: $boost; }
    """

    def __init__(self, run: Path) -> None:
        super().__init__()
        self._now = Reader(lambda: StoredRun.open(str(run)))
        self._then = Reader(lambda: StoredRun.open(str(run)))
        self._head: Head | None = None
        self._look: Look | None = None
        self._found: list[int] = []
        self._following = self._polling = False
        self._rest: Timer | None = None
        self._above = Static(Text("reading the log …", "dim"), id="head")
        self._texts = {name: Static(id=f"{name}-text") for name in TABS}
        self._tabs = TabbedContent(initial="plan")
        self._plans = PlanTree()

    def compose(self) -> ComposeResult:
        yield self._above
        with Horizontal():
            yield self._plans
            with self._tabs:
                for name, title in TABS.items():
                    with TabPane(title, id=name), VerticalScroll():
                        yield self._texts[name]
        yield Footer()

    @property
    def plans(self) -> PlanTree:
        return self._plans

    def on_mount(self) -> None:
        self.theme = "textual-ansi" if self.ansi_color else "textual-dark"
        self.plans.focus()
        self.run_worker(self._begin(), group="follow", exclusive=True)

    async def on_unmount(self) -> None:
        for reader in (self._now, self._then):
            reader.close()

    async def _begin(self) -> None:
        try:
            await self._read()
            await self._refresh()
        except KsearchError as error:
            self.exit(return_code=error.exit_code, message=f"ksearch: {inert(str(error))}")
            return
        self.set_interval(POLL_S, self._poll)

    # ------------------------------------------------------------------ following the run

    def _poll(self) -> None:
        if not self._polling:
            self._polling = True
            self.run_worker(self._keep_up(), group="follow")

    async def _keep_up(self) -> None:
        try:
            await self._refresh()
        except KsearchError as error:
            self.notify(inert(str(error)), severity="error", markup=False)
        finally:
            self._polling = False

    async def _read(self) -> None:
        """A long log is read in parts, and the tree is shown as it grew: it can be walked through from the first part on."""
        part = FIRST_PART
        while await self._now.ask(partial(_advanced, events=part)):
            seq, last = await self._now.ask(lambda run: (run.folded, run.last_seq))
            head = await self._now.ask(lambda run: head_of(run, run.folded))
            self._above.update(head_text(head, reading=(seq, last)))
            await self._refresh_rows()
            part = min(PART, 2 * part)
        if part > FIRST_PART and self.plans.branches:
            await self._sort()

    async def _refresh(self) -> None:
        """Take in what is new, if anything is: the lines above, the rows that are there, and their new children."""
        known = None if self._head is None else self._head.seq
        head = await self._now.ask(lambda run: None if run.last_seq == known else head_of(run))
        if head is None:
            return
        before, self._head = self._head, head
        self._above.update(head_text(head))
        await self._refresh_rows()
        if self._following and head.incumbent is not None and (before is None or before.incumbent != head.incumbent):
            await self._go(head.incumbent.node)

    async def _refresh_rows(self) -> None:
        plans = self.plans
        first = not plans.branches
        plans.show(await self._branches(list(plans.rows)))
        if not plans.branches:
            return
        for node in [0] if first else plans.opened:
            await self._fill(node)
        if first:
            plans.root.expand()
            plans.move_cursor(plans.root)
        if plans.cursor_node is not None and plans.cursor_node.data is not None and plans.cursor_node.data >= 0:
            self._look_soon(plans.cursor_node.data)

    async def _branches(self, nodes: Iterable[int]) -> Mapping[int, Branch]:
        wanted = tuple(nodes)
        return await self._now.ask(lambda run: branches_of(run.so_far, wanted))

    async def _fill(self, node: int, wanted: int | None = None) -> None:
        if missing := self.plans.missing(node, wanted):
            self.plans.fill(node, await self._branches(missing))

    async def on_tree_node_expanded(self, event: Tree.NodeExpanded[int]) -> None:
        if event.node.data is not None:
            await self._fill(event.node.data)

    # ------------------------------------------------------------------ one node

    def on_tree_node_highlighted(self, event: Tree.NodeHighlighted[int]) -> None:
        if event.node.data is not None and event.node.data >= 0 and self.plans.branches:
            self._look_soon(event.node.data)

    async def on_tree_node_selected(self, event: Tree.NodeSelected[int]) -> None:
        if event.node.data is None or event.node.data >= 0:
            event.node.toggle()
        else:
            line = event.node.line
            self.plans.make_room(rest_of(event.node.data))
            await self._fill(rest_of(event.node.data))
            self.plans.cursor_line = line

    def on_tabbed_content_tab_activated(self) -> None:
        if self._look is not None:
            self._draw(self._look)

    def _look_soon(self, node: int) -> None:
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(SETTLE_S, lambda: self.run_worker(self._look_at(node), group="look", exclusive=True))

    async def _look_at(self, node: int) -> None:
        from ksearch.inspector.looks import look_at  # the tree stands before what is only needed beside it is imported

        look = await self._asked(self._now, lambda run: look_at(run, node), "plan")
        if look is not None:
            self._look = look
            self._draw(look)

    def _draw(self, look: Look) -> None:
        active = self._tabs.active
        match active:
            case "plan":
                self._put("plan", node_pane(look))
            case "code":
                self._put("code", code_pane(look))
            case "diff":
                self._put("diff", diff_pane(look))
            case _:
                self._put(active, Text("folding the log up to that moment …", "dim"))
                self.run_worker(self._look_back(active, look.node.id), group="back", exclusive=True)

    async def _look_back(self, tab: str, node: int) -> None:
        from ksearch.inspector.looks import beliefs_before
        from ksearch.report.explain import story_lines
        from ksearch.report.story import story_of

        if tab == "why":
            story = await self._asked(self._then, lambda run: story_of(run, node), tab)
            if story is not None:
                self._put(tab, story_pane(story_lines(story)))
        else:
            beliefs = await self._asked(self._then, lambda run: beliefs_before(run, node), tab)
            if beliefs is not None:
                self._put(tab, beliefs_pane(beliefs))

    async def _asked(self, reader: Reader[StoredRun], question: Callable[[StoredRun], T], tab: str) -> T | None:
        """The answer, or None when it can't be had: the pane then says why."""
        try:
            return await reader.ask(question)
        except KsearchError as error:
            self._put(tab, Text(inert(str(error)), "red"))
            return None

    def _put(self, tab: str, content: RenderableType) -> None:
        self._texts[tab].update(content)

    # ------------------------------------------------------------------ keys

    def action_help(self) -> None:
        self.push_screen(Help())

    def action_tab(self, name: str) -> None:
        self._tabs.active = name

    def action_other_side(self) -> None:
        if self.plans.has_focus:
            self.query_one(f"#{self._tabs.active}", TabPane).query_one(VerticalScroll).focus()
        else:
            self.plans.focus()

    async def action_incumbent(self) -> None:
        if self._head is None:
            self.notify("still reading the log")
        elif self._head.incumbent is None:
            self.notify("there is no incumbent yet")
        else:
            await self._go(self._head.incumbent.node)

    def action_follow(self) -> None:
        self._following = not self._following
        self.notify("going to each new incumbent" if self._following else "staying where the cursor is")

    async def action_sort(self) -> None:
        await self._sort()

    async def _sort(self) -> None:
        """Children are made anew, in the order of their best rewards; what was open stays open."""
        plans, node = self.plans, None if self.plans.cursor_node is None else self.plans.cursor_node.data
        opened = [number for number, row in plans.rows.items() if row.is_expanded]
        plans.clear_rows()
        plans.show(await self._branches([0]))
        for number in opened:
            if number in plans.rows:
                await self._fill(number)
                plans.rows[number].expand()
        if node is not None and node >= 0:
            await self._go(node)

    def action_find(self) -> None:
        self.push_screen(Find(), self._find)

    async def _find(self, wanted: str | None) -> None:
        if wanted is None:
            return
        self._found = list(await self._now.ask(lambda run: nodes_named(run.so_far, wanted)))
        if not self._found:
            self.notify(f"no plan's step has {inert(wanted)!r}", markup=False)
            return
        await self._go(self._found[0])
        if len(self._found) > 1:
            self.notify(f"{len(self._found)} plans; n goes to the next")

    async def action_found(self, step: int) -> None:
        row = self.plans.cursor_node
        if self._found and row is not None:
            at = self._found.index(row.data) if row.data in self._found else -1 if step > 0 else 0
            await self._go(self._found[(at + step) % len(self._found)])

    async def _go(self, node: int) -> None:
        """To a node that may have no row yet: the way there is opened first."""
        way = await self._now.ask(lambda run: way_to(run.so_far, node))
        for above, below in pairwise([*way, node]):
            await self._fill(above, below)
        self.plans.select(node)


def _advanced(run: StoredRun, events: int) -> bool:
    return run.advance(events)


def way_to(state: RunState, node: int) -> list[int]:
    """The nodes above it, the root first."""
    way: list[int] = []
    while state.tree is not None and node != ROOT:
        node = state.tree.parent(NodeId(node))
        way.append(node)
    return way[::-1]


def nodes_named(state: RunState, wanted: str) -> Iterable[int]:
    """Nodes whose last step's key has these letters, whatever their case; `#12` is the node of that number."""
    tree = state.tree
    if tree is None:
        return ()
    if wanted.startswith("#") and wanted[1:].isdecimal():
        return (number,) if (number := int(wanted[1:])) < len(tree) else ()
    return tuple(view.id for view in tree.nodes() if view.action is not None and wanted.lower() in view.action.key.lower())
