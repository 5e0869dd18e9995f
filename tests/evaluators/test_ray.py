"""Ray on a real local cluster, in a process of its own: what Ray loads and what compiled kernels load don't live together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).with_name("ray_cases.py")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_local_cluster_and_its_losses() -> None:
    command = [sys.executable, "-m", "pytest", str(CASES), "-q", "-rs", "-p", "no:xdist", "-p", "no:cacheprovider", "--tb=short"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False, cwd=CASES.parents[2])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    if " passed" not in done.stdout.splitlines()[-1]:
        pytest.skip(f"no cluster starts here: {done.stdout.splitlines()[-1]}")
