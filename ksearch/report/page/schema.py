"""JSON Schema of `ksearch report --json`: `python -m ksearch.report.page.schema` prints it; docs/schemas/report.json keeps it."""

from __future__ import annotations

import json
import sys
from typing import Any

from pydantic.json_schema import models_json_schema

from ksearch.report.page.model import CandidateDetail, PageData


def report_schema() -> dict[str, Any]:
    """`PageData` without --node, a list of `CandidateDetail` with it."""
    _, schema = models_json_schema([(PageData, "serialization"), (CandidateDetail, "serialization")], title="ksearch report --json")
    return {**schema, "anyOf": [{"$ref": "#/$defs/PageData"}, {"type": "array", "items": {"$ref": "#/$defs/CandidateDetail"}}]}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(report_schema(), indent=1) + "\n")
