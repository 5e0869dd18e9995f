"""Evaluations leave nothing behind: the benchmark's short form, by kernels that try to leave something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_eight_evaluations_leave_no_process_no_memory_and_no_file(tmp_path: Path) -> None:
    paths = os.pathsep.join([str(ROOT), *(path for path in sys.path if path)])
    command = [sys.executable, str(ROOT / "benchmarks" / "judge" / "leftovers.py"), "--evaluations", "8", "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=280, cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}, check=False
    )
    found = json.loads(done.stdout)
    left = {name: found[name] for name in ("processes", "descriptors", "files", "shared_memory")}
    assert left == {"processes": [], "descriptors": 0, "files": [], "shared_memory": []}
    assert done.returncode == 0
    assert found["most_processes"] <= 8, "a judge, two fork servers with an idle runner and its keeper each, a runner on its way out"
    assert found["statuses"]["TIMEOUT"] == 1
    assert found["statuses"]["PASSED"] >= 3, "what an honest kernel tries beside its work is held back, not held against it"
