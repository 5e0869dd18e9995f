"""Markers for what a machine may lack: their tests are skipped without it, and the last lines of the session say so.

`--require-gpu` and `--require-browser` turn that skip into a refusal, for a machine whose purpose is to run them.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
from collections.abc import Callable, Mapping

import pytest

# A key of the developer's own would make `--planner auto` ask a paid model in the middle of a test.
for _name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
    os.environ.pop(_name, None)
# Tests run in several processes: OpenMP's idle threads must sleep there, not spin on the cores that the others need.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


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


def chromium() -> str | None:
    """The system's browser. Playwright's own download isn't used: a test run fetches nothing."""
    return next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)


def no_browser_because() -> str | None:
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed"
    return None if chromium() else "no chromium or google-chrome on PATH"


NEEDS: Mapping[str, tuple[str, Callable[[], str | None]]] = {
    "gpu": ("an NVIDIA GPU", no_gpu_because),
    "browser": ("Chromium", no_browser_because),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    for name in NEEDS:
        parser.addoption(f"--require-{name}", action="store_true", help=f"fail instead of skipping when the tests marked {name} can't run")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Files are handed to the workers whole (--dist loadfile): a long one that comes last would keep all but one of them waiting.
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
    for name, (what, missing_because) in NEEDS.items():
        marked = [item for item in items if item.get_closest_marker(name)]
        if not marked or (reason := missing_because()) is None:
            continue
        if config.getoption(f"--require-{name}"):
            raise pytest.UsageError(f"--require-{name}: {len(marked)} tests need {what}, but {reason}")
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=f"needs {what}: {reason}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for name, (_, missing_because) in NEEDS.items():
        skipped = [report for report in terminalreporter.stats.get("skipped", []) if name in report.keywords]
        if skipped:
            why = missing_because() or "see the skip reasons"
            terminalreporter.write_sep("!", f"{len(skipped)} {name} tests NOT RUN: {why}", yellow=True, bold=True)
