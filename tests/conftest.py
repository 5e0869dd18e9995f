"""The gpu marker: without a GPU its tests are skipped, and the last lines of the session say so.

`--require-gpu` turns that skip into a refusal, for a machine whose purpose is to run them.
"""

from __future__ import annotations

import functools
import os

import pytest

# A key of the developer's own would make `--planner auto` ask a paid model in the middle of a test.
for _name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
    os.environ.pop(_name, None)


@functools.cache
def no_gpu_because() -> str | None:
    """Why tests marked gpu can't run here, or None when they can. Imports torch, so only asked when such a test was collected."""
    try:
        import torch
    except ImportError as error:
        return f"torch can't be imported: {error}"
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    if not torch.cuda.is_available():
        return "torch sees no CUDA device"
    return None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--require-gpu", action="store_true", help="fail instead of skipping when the tests marked gpu can't run")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked or (reason := no_gpu_because()) is None:
        return
    if config.getoption("--require-gpu"):
        raise pytest.UsageError(f"--require-gpu: {len(marked)} tests need an NVIDIA GPU, but {reason}")
    for item in marked:
        item.add_marker(pytest.mark.skip(reason=f"needs an NVIDIA GPU: {reason}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if "gpu" in report.keywords]
    if skipped:
        why = no_gpu_because() or "see the skip reasons"
        terminalreporter.write_sep("!", f"{len(skipped)} GPU tests NOT RUN: {why}", yellow=True, bold=True)
