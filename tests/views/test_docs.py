"""The pages say what is so: the code of docs/python.md runs as it stands, and the schemas are those of the views."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from ksearch.report.export import FORMATS, import_run
from ksearch.report.treerecords import TreeNode

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def schemas() -> ModuleType:
    spec = importlib.util.spec_from_file_location("schemas", DOCS / "schemas" / "write.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_python_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import_run(ROOT / "runs" / "recorded" / "dsa_topk-h200" / "run.jsonl", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / "python.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 7
    names: dict[str, object] = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"docs/python.md, block {number}", "exec"), names)
    out = capsys.readouterr().out
    assert "39 evaluations, 86 plans" in out
    assert "4.24 us, 945x, timer cupti" in out
    assert "budget True" in out


@pytest.mark.parametrize("view", sorted(schemas().VIEWS))
def test_the_schemas_are_those_of_the_views(view: str) -> None:
    """By the names of models and fields: how a schema words a type is pydantic's own matter."""
    stored = json.loads((DOCS / "schemas" / f"{view}.schema.json").read_text("utf-8"))
    assert fields(stored) == fields(json.loads(schemas().text_of(view))), "python docs/schemas/write.py"


def fields(schema: dict[str, dict[str, dict[str, object]]]) -> dict[str, list[str]]:
    models = {**schema.get("$defs", {}), "": schema}
    return {name: sorted(model.get("properties", {})) for name, model in models.items()}


def test_the_page_of_views_names_every_field_of_the_tree_and_every_format() -> None:
    page = (DOCS / "views.md").read_text("utf-8")
    assert [name for name in TreeNode.model_fields if f"`{name}`" not in page] == []
    assert [form for form in FORMATS if f"`{form}`" not in page] == []


def test_links_of_the_pages_lead_somewhere() -> None:
    for page in ("views.md", "python.md"):
        targets = re.findall(r"\]\(([^)#]+)\)", (DOCS / page).read_text("utf-8"))
        assert [target for target in targets if not (DOCS / target).exists()] == []
