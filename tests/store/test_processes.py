"""Writers that are killed, writers in each other's way, readers beside them: with real processes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ksearch.store.errors import RunLocked
from ksearch.store.lock import writer_of
from ksearch.store.log import EventLog, EventRow

CHILD = Path(__file__).with_name("child_writer.py")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def start(database: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(CHILD), str(database), *options]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert child.stdout is not None
    assert child.stdout.readline() == "open\n"
    return child


def kill(child: subprocess.Popen[str]) -> list[int]:
    """SIGKILL; the numbers that were acknowledged. A line cut by the kill was not."""
    child.send_signal(signal.SIGKILL)
    out, _ = child.communicate()
    return [int(line) for line in out.splitlines(keepends=True) if line.endswith("\n")]


def test_no_acknowledged_event_is_lost_over_ten_kills(database: Path) -> None:
    dice, newest = random.Random(7), 0
    for _ in range(10):
        child = start(database)
        time.sleep(dice.uniform(0.0, 0.12))
        with pytest.raises(RunLocked, match=str(child.pid)):
            EventLog.open_writer(database)
        acknowledged = kill(child)
        with EventLog.open_reader(database) as reader:
            seen_before_recovery = reader.last_seq
        with EventLog.open_writer(database) as log:
            seqs = [event.seq for event in log.events()]
            assert log.last_seq == seen_before_recovery
            assert seqs == list(range(1, len(seqs) + 1))
            assert acknowledged == list(range(newest + 1, newest + 1 + len(acknowledged)))
            assert len(seqs) - (newest + len(acknowledged)) in (0, 1)  # one may be committed but not yet told
            newest = len(seqs)
            for seq in seqs[-3:]:
                assert b"blob of %d" % seq in {log.get_blob(digest) for digest in log.blobs()}
    assert newest > 0


def test_the_lock_goes_with_the_killed_process_even_when_a_forked_child_of_it_lives(database: Path) -> None:
    script = (
        "import os, sys, time, pathlib; from ksearch.store.log import EventLog\n"
        "log = EventLog.open_writer(pathlib.Path(sys.argv[1])); child = os.fork()\n"
        "if child: print(child, flush=True)\n"
        "time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(database)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert parent.stdout is not None
    orphan = int(parent.stdout.readline())
    try:
        parent.kill()
        parent.wait()
        with EventLog.open_writer(database) as log:
            assert log.append([EventRow("after", "{}")], durable=True) == 1
    finally:
        os.kill(orphan, signal.SIGKILL)
        parent.stdout.close()


def test_writer_of_names_the_living_writer_without_disturbing_it(database: Path) -> None:
    lock = database.with_suffix(".lock")
    assert writer_of(lock) is None
    child = start(database, "--hold")
    holder = writer_of(lock)
    assert holder is not None
    assert holder.pid == child.pid
    kill(child)
    assert writer_of(lock) is None
    with EventLog.open_writer(database):
        own = writer_of(lock)
        assert own is not None
        assert own.pid == os.getpid()
        second = subprocess.run([sys.executable, str(CHILD), str(database)], capture_output=True, text=True, env=ENVIRONMENT, check=False)
        assert f"RunLocked: run a-run is being written by process {os.getpid()}" in second.stderr


def test_a_reader_in_another_process_sees_the_log_grow(database: Path) -> None:
    child = start(database)
    deadline = time.monotonic() + 30
    with EventLog.open_reader(database) as reader:
        sizes = {reader.last_seq}
        while len(sizes) < 5 and time.monotonic() < deadline:
            sizes.add(len(list(reader.events())))
        acknowledged = kill(child)
        assert len(sizes) == 5
        assert reader.last_seq >= acknowledged[-1]
