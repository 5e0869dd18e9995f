"""The sanitizer's stage, with a stand-in for the tool that runs the very command and reports what it is told to."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksearch.judge.sanitizer import NOT_AVAILABLE, _read, find_sanitizer, sanitize
from tests.judge.conftest import job_of, solution

KERNEL = """
import torch
def run(x, w, out):
    f = x.float()
    out.copy_(f * torch.rsqrt(f.square().mean(-1, keepdim=True) + 1e-5) * w.float())
"""
RAISES = "def run(*given):\n    raise ValueError\n"


def tool(folder: Path, summary: str, status: int) -> str:
    """A compute-sanitizer that runs the program, prints a summary and leaves with a status where the program ended well."""
    path = folder / "compute-sanitizer"
    path.write_text(f"#!/bin/sh\nshift 6\n\"$@\" || exit 3\necho '{summary}'\nexit {status}\n")
    path.chmod(0o755)
    return str(path)


def test_without_the_tool_the_verdict_says_so() -> None:
    job = job_of(solution(KERNEL), kind="promote")
    found = sanitize(None, job, job.workloads[0].workload, None)
    assert found.standing.startswith(NOT_AVAILABLE)
    assert found.error is None


@pytest.mark.parametrize(("source", "standing"), [(KERNEL, "memcheck: no errors"), (RAISES, NOT_AVAILABLE)])
def test_the_candidate_is_called_under_the_tool(tmp_path: Path, source: str, standing: str) -> None:
    job = job_of(solution(source), kind="promote").model_copy(update={"unsafe_runner": True})
    found = sanitize(tool(tmp_path, "ERROR SUMMARY: 0 errors", 0), job, job.workloads[0].workload, None, limit_s=150)
    assert found.standing.startswith(standing), found
    assert found.error is None


def test_only_errors_that_the_tool_reports_count() -> None:
    text = "========= Invalid __global__ read of size 4 bytes\n========= ERROR SUMMARY: 3 errors\n"
    found = _read(86, text)
    assert found.error is not None
    assert "3 errors" in found.error
    assert "Invalid __global__ read" in found.error
    for status, log in ((86, "killed"), (1, text), (0, ""), (None, text), (86, "ERROR SUMMARY: 0 errors")):
        assert _read(status, log).error is None


def test_it_is_looked_for_where_cuda_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    made = tool(tmp_path / "bin", "", 0)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert find_sanitizer() == made
