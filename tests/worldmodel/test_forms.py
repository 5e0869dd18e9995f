"""The planner's form read strictly: whatever a model may send, a plan comes out or a reason does."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksearch.tree.types import NodeId
from ksearch.worldmodel.document import Insert, Kind
from ksearch.worldmodel.forms import LONGEST_NAME, LONGEST_PROSE, PROPOSE_SCHEMA, read_plan
from ksearch.worldmodel.oracle import Unanswered
from tests.llm.brain import proposal

NODES = frozenset({NodeId(3)})


def form(*proposals: dict[str, Any], **more: Any) -> str:
    return json.dumps({"edits": [], "proposals": list(proposals), **more})


def test_a_proposal_becomes_an_action() -> None:
    answer = read_plan(form(proposal("Split K!", target="main loop", parameter="k=4", merge_node=3, regime="long")), NODES)
    (action,) = answer.actions
    assert action.key == "split_k|main loop|k=4"
    assert action.second_parent == 3
    assert action.gain_mean == pytest.approx(math.log(1.2))
    assert action.regime == "long"


def test_one_bad_proposal_does_not_cost_the_others() -> None:
    answer = read_plan(form(proposal("good"), proposal("bad", p_success=7), proposal("worse", merge_node=99)), NODES)
    assert [action.technique for action in answer.actions] == ["good"]
    assert len(answer.dropped) == 2


def test_an_edit_is_read() -> None:
    edit = {"op": "insert", "kind": "lesson", "ids": [], "texts": ["tiles help"], "refuted_by": "", "nodes": [3]}
    assert read_plan(form(proposal("x"), edits=[edit]), NODES).edits == (Insert(Kind.LESSON, "tiles help", "", (NodeId(3),)),)


WRONG = (
    "", "{", "[]", "null", "3", '{"proposals": 3}', '{"proposals": [3], "edits": []}', '{"proposals": []} trailing', '{"proposals": [NaN]}',
    '{"proposals": [], "edits": [], "sudo": true}', "[" * 50_000, '{"a": "\\ud800"', form(proposal("x", speedup_low=5)), "x" * 500_000,
)  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_form_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(Unanswered) as caught:
        read_plan(text, NODES)
    assert caught.value.again
    assert len(str(caught.value)) < 600


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from(sorted(proposal("x")))


@given(st.dictionaries(fields, json_values, max_size=13), st.lists(json_values, max_size=3))
def test_anything_in_any_field_gives_a_plan_or_a_reason(changes: dict[str, Any], edits: list[Any]) -> None:
    try:
        answer = read_plan(json.dumps({"proposals": [{**proposal("x"), **changes}], "edits": edits}), NODES)
    except Unanswered:
        return
    for action in answer.actions:
        assert "|" not in action.technique + action.target + action.parameter
        assert "\n" not in action.key
        assert len(action.technique) <= LONGEST_NAME
        assert len(action.intent) <= LONGEST_PROSE
        assert math.isfinite(action.gain_mean)
        assert action.gain_sd > 0
        assert 0 <= action.p_success <= 1


def test_the_schema_is_strict_everywhere() -> None:
    """Every object names all its properties as required and allows no other, or a provider's strict mode refuses the tool."""

    def check(schema: Any) -> None:
        if isinstance(schema, dict):
            if schema.get("type") == "object":
                assert schema["additionalProperties"] is False
                assert set(schema["required"]) == set(schema["properties"])
            for value in schema.values():
                check(value)

    from ksearch.coder.model.forms import EDIT_SCHEMA, WRITE_SCHEMA

    for schema in (PROPOSE_SCHEMA, WRITE_SCHEMA, EDIT_SCHEMA):
        check(schema)
