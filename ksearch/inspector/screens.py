"""What lies over the inspector for a moment: the keys, and the question what to find."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

KEYS = """\
up down, j k      move through the plans
right, l          open a plan, or go to its first child
left, h           close it, or go to its parent
g G               first and last row
i                 go to the incumbent
/                 find a plan by a part of its step
n N               next and previous plan that was found
1 to 5            plan, why it was chosen, code, diff, beliefs
tab               from the tree to the pane and back
f                 follow: go to each new incumbent as it comes
r                 sort again, the best subtrees first
?                 these keys
q                 leave

* incumbent   ? not passed yet   x closed: its attempts failed   = exhausted   … being tried
Gains and claims are natural logarithms of speed-ups over the parent; N counts settled attempts at and below a plan."""


class Help(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [("escape,q,question_mark,enter", "dismiss", "close")]
    DEFAULT_CSS = """
    Help { align: center middle; }
    Help VerticalScroll {
        width: auto; max-width: 96%; height: auto; max-height: 90%; padding: 1 2; border: round $accent; background: $surface;
    }
    Help Static { width: auto; }
    """

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(Text(KEYS))

    async def action_dismiss(self, result: None = None) -> None:
        self.dismiss(result)


class Find(ModalScreen[str | None]):
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss", "close")]
    DEFAULT_CSS = """
    Find { align: center top; }
    Find Input { width: 70%; margin-top: 2; }
    """

    def compose(self) -> ComposeResult:
        yield Input(placeholder="a technique, a target, a number: a part of the step, or #12")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip() or None)

    async def action_dismiss(self, result: str | None = None) -> None:
        self.dismiss(result)
