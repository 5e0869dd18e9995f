"""From a reply to a filled-in form: a tool call, or for models that have no tools one JSON object in the text."""

from __future__ import annotations

import json
import re
from collections.abc import Collection

from ksearch.llm.types import Ending, Reply
from ksearch.worldmodel.oracle import QUOTED, Filled, Unanswered

FENCED = re.compile(r"(?:```|~~~)[\w-]*[ \t]*\n(.*?)\n[ \t]*(?:```|~~~)", re.DOTALL)


def filled_form(reply: Reply, forms: Collection[str]) -> Filled:
    """Raises Unanswered: for good when the model declined, else worth asking again with what was wrong."""
    if reply.ending is Ending.REFUSED:
        raise Unanswered(f"The model declined to answer{': ' + reply.text[:200] if reply.text else ''}")
    if reply.ending is Ending.TRUNCATED:
        raise Unanswered("The answer was cut off at the limit of tokens: answer shorter, with edits rather than whole files", again=True)
    for call in reply.calls:
        if call.name in forms:
            return Filled(call.name, call.arguments)
    if reply.calls:
        raise Unanswered(f"You called {reply.calls[0].name[:40]!r}; call {' or '.join(forms)}", again=True)
    return _from_text(reply.text, forms)


def _from_text(text: str, forms: Collection[str]) -> Filled:
    """The last object that names one of the forms: prose may come before the answer, examples too."""
    for candidate in reversed([*FENCED.findall(text), text.strip()]):
        try:
            value = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and value.get("tool") in forms and isinstance(value.get("arguments"), dict):
            return Filled(str(value["tool"]), json.dumps(value["arguments"]))
    raise Unanswered(f"The answer must be one call of {' or '.join(forms)}, and was prose", again=True, quoted=text[:QUOTED])
