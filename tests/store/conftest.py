from pathlib import Path

import pytest

from ksearch.store.log import EventLog


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The path of a run that exists, is empty, and is open nowhere."""
    path = tmp_path / "runs" / "a-run" / "run.sqlite"
    EventLog.create(path).close()
    return path
