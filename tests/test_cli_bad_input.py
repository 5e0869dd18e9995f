"""Bad input: one clear line on stderr, exit code 2, nothing written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ksearch.devices import gpus


def ksearch(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ksearch", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **env},
        timeout=60,
        check=False,
    )


def assert_refused(result: subprocess.CompletedProcess[str], folder: Path, hint: str) -> None:
    assert result.returncode == 2, result.stderr
    assert hint in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert list(folder.rglob("*.sqlite")) == []


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--definition", "dsa_topkk"], "dsa_topk"),
        (["--definition", "rmsnorm", "--set", "evaluation.calls=3"], "evaluation.timed_calls"),
        (["--definition", "rmsnorm", "--max-evaluations", "-3"], "max_evaluations"),
        (["--definition", "rmsnorm", "--max-usd", "-1"], "max_usd"),
        (["--definition", "rmsnorm", "--policy", "mcts"], "policy"),
        (["--definition", "rmsnorm", "--device", "tpu"], "device"),
        (["--definition", "rmsnorm", "--device", "cpu", "--language", "triton"], "--language triton"),
        (["--definition", "rmsnorm", "--workloads", "no-such-regime"], "no-such-regime"),
        (["--definition", "rmsnorm", "--start", "absent.json"], "absent.json"),
        (["--definition", "rmsnorm", "--config", "no-such-preset"], "default"),
        (["--definition", "rmsnorm", "--dataset", "no-such-folder"], "no-such-folder"),
        (["--definition", "rmsnorm", "--name", "../escape"], "can't name a run"),
    ],
)
def test_refused_with_one_line(tmp_path: Path, arguments: list[str], hint: str) -> None:
    assert_refused(ksearch("run", *arguments, "--evaluator", "fake", "--runs-dir", str(tmp_path / "runs"), cwd=tmp_path), tmp_path, hint)


@pytest.mark.skipif(bool(gpus()), reason="this machine has a GPU")
def test_cuda_without_a_gpu_is_refused(tmp_path: Path) -> None:
    result = ksearch("run", "--definition", "rmsnorm", "--device", "cuda", "--runs-dir", str(tmp_path), cwd=tmp_path)
    assert_refused(result, tmp_path, "no NVIDIA GPU")


def test_a_runs_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    blocked = tmp_path / "runs"
    blocked.write_text("in the way")
    result = ksearch("run", "--definition", "rmsnorm", "--evaluator", "fake", "--runs-dir", str(blocked), cwd=tmp_path)
    assert_refused(result, tmp_path, str(blocked))


def test_a_malformed_dataset_is_named(tmp_path: Path) -> None:
    definitions = tmp_path / "data" / "definitions" / "norm"
    definitions.mkdir(parents=True)
    (definitions / "broken.json").write_text('{"name": "broken"')
    result = ksearch(
        "run", "--definition", "broken", "--dataset", str(tmp_path / "data"), "--runs-dir", str(tmp_path / "runs"), cwd=tmp_path
    )
    assert_refused(result, tmp_path / "runs", "broken.json")


@pytest.mark.slow
def test_a_run_open_elsewhere_is_refused_and_unharmed(tmp_path: Path) -> None:
    arguments = ["run", "--definition", "rmsnorm", "--device", "cpu", "--evaluator", "fake", "--name", "held", "--runs-dir", str(tmp_path)]
    holder = subprocess.Popen(
        [sys.executable, "-m", "ksearch", *arguments, "--set", "evaluation.fake_delay_s=1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stderr is not None
        holder.stderr.readline()
        second = ksearch("resume", "held", "--runs-dir", str(tmp_path), cwd=tmp_path)
        assert second.returncode == 2, second.stderr
        assert str(holder.pid) in second.stderr
        again = ksearch(*arguments, cwd=tmp_path)
        assert again.returncode == 2, again.stderr
    finally:
        holder.terminate()
        _, errors = holder.communicate(timeout=30)
    assert holder.returncode == 143, errors


def test_a_budget_that_ends_before_anything_passes_exits_3(tmp_path: Path) -> None:
    result = ksearch(
        "run",
        "--definition",
        "rmsnorm",
        "--device",
        "cpu",
        "--evaluator",
        "fake",
        "--max-evaluations",
        "0",
        "--runs-dir",
        str(tmp_path),
        cwd=tmp_path,
    )
    assert result.returncode == 3
    assert "before anything passed" in result.stderr + result.stdout
