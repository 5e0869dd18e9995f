"""Writes the JSON Schemas of what `--json` prints, beside this file: python docs/schemas/write.py"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from ksearch.inspector.looks import Beliefs, Look
from ksearch.inspector.rows import Head
from ksearch.records.model import RunRecord
from ksearch.report.comparison import Comparison
from ksearch.report.story import Story
from ksearch.report.treerecords import TreeDocument

VIEWS: dict[str, type[BaseModel]] = {
    "tree": TreeDocument,
    "explain": Story,
    "compare": Comparison,
    "inspect": Head,
    "inspect-node": Look,
    "inspect-beliefs": Beliefs,
    "run": RunRecord,
}


def text_of(view: str) -> str:
    return json.dumps(VIEWS[view].model_json_schema(mode="serialization"), indent=1) + "\n"


def main() -> None:
    for view in VIEWS:
        (Path(__file__).parent / f"{view}.schema.json").write_text(text_of(view), "utf-8")


if __name__ == "__main__":
    main()
