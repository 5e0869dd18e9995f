"""Copies references/<name>.py into the `reference` field of data/definitions/*/<name>.json.

FlashInfer-Trace wants a definition in one JSON file; people and linters want Python in a Python file. The Python file is
the truth: edit it, run `python -m ksearch.definitions.embed`, commit both (a test holds them equal).
"""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent


def reference_source(name: str) -> str:
    return (HERE / "references" / f"{name}.py").read_text(encoding="utf-8")


def embed(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    content["reference"] = reference_source(content["name"])
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for definition in sorted(HERE.glob("data/definitions/*/*.json")):
        embed(definition)
