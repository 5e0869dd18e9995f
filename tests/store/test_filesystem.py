from pathlib import Path

import pytest

from ksearch.store.errors import RunsDirError
from ksearch.store.filesystem import file_system, refuse_network, try_second_process
from ksearch.store.lock import WriterLock
from ksearch.store.log import EventLog


def mounts(tmp_path: Path, *lines: tuple[str, str]) -> Path:
    table = tmp_path / "mountinfo"
    table.write_text("".join(f"36 35 98:0 / {point} rw,noatime shared:1 - {kind} source rw\n" for point, kind in lines))
    return table


def test_the_innermost_and_last_mount_counts(tmp_path: Path) -> None:
    inner = tmp_path / "with space" / "runs"
    inner.mkdir(parents=True)
    escaped = str(tmp_path / "with space").replace(" ", "\\040")
    table = mounts(tmp_path, (str(tmp_path), "ext4"), (escaped, "tmpfs"), (escaped, "xfs"), ("/", "overlay"), (f"{tmp_path}/with", "nfs"))
    assert file_system(inner, table) == "xfs"
    assert file_system(tmp_path, table) == "ext4"
    assert file_system(Path("/"), table) == "overlay"


def test_without_a_table_of_mounts_nothing_is_claimed(tmp_path: Path) -> None:
    assert file_system(tmp_path, tmp_path / "absent") is None
    refuse_network(tmp_path, tmp_path / "absent")


@pytest.mark.parametrize("kind", ["nfs4", "lustre", "9p", "cifs", "fuse.sshfs"])
def test_network_file_systems_are_refused_with_the_way_out(tmp_path: Path, kind: str) -> None:
    with pytest.raises(RunsDirError, match=f"{kind}.*--runs-dir"):
        refuse_network(tmp_path, mounts(tmp_path, ("/", kind)))


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fuse.fuse-overlayfs", "virtiofs"])
def test_local_file_systems_are_left_to_the_trial(tmp_path: Path, kind: str) -> None:
    refuse_network(tmp_path, mounts(tmp_path, ("/", kind)))


def test_locks_that_exclude_nobody_are_found_out(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    lock = tmp_path / "unlocked"
    lock.write_bytes(b"")
    with EventLog.create(path), pytest.raises(RunsDirError, match="locks"):
        try_second_process(lock, path)


def test_a_log_that_a_second_process_cant_see_is_found_out(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path / "run.lock")
    with pytest.raises(RunsDirError, match="no such table"):
        try_second_process(lock.path, tmp_path / "other.sqlite")
    lock.release()
