"""Whether a folder can hold a run: SQLite's WAL needs shared memory and byte-range locks that really exclude.

On network file systems both may seem to work from one machine and fail from a second, and the log is then corrupted
without a word. So known network types are refused by name, and on all others locks and shared memory are tried with a
second process.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from ksearch.store.errors import RunsDirError

WAY_OUT = "choose a folder on a local disk with --runs-dir"

# fmt: off
NETWORK_TYPES = frozenset({
    "nfs", "nfs3", "nfs4", "lustre", "9p", "cifs", "smb", "smb2", "smb3", "smbfs", "ceph", "beegfs", "fhgfs", "gpfs", "panfs", "afs",
    "ncpfs", "glusterfs", "ocfs2", "gfs2", "orangefs", "pvfs2", "wekafs", "vboxsf",
})
NETWORK_FUSE = frozenset({
    "sshfs", "s3fs", "gcsfuse", "rclone", "glusterfs", "juicefs", "goofys", "blobfuse", "blobfuse2", "mount-s3", "mountpoint-s3", "ceph",
    "ceph-fuse", "cvmfs2", "davfs",
})
# fmt: on

_MOUNTS = Path("/proc/self/mountinfo")

# Runs in a second interpreter: 3 when it gets a lock that the first holds, 4 when it can't see what the first
# committed to the WAL, which is read through shared memory.
_SECOND_PROCESS = """
import fcntl, sqlite3, sys
with open(sys.argv[1], "rb+") as lock:
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        sys.exit(3)
    except OSError:
        pass
try:
    rows = sqlite3.connect(sys.argv[2]).execute("SELECT count(*) FROM events").fetchall()
except sqlite3.Error as error:
    print(error, file=sys.stderr)
    sys.exit(4)
"""


def file_system(folder: Path, mounts: Path = _MOUNTS) -> str | None:
    """The type of the file system that holds an existing folder, as in mount(8); None where the system doesn't tell.

    Linux tells in /proc/self/mountinfo; of several mounts on one point the last covers the others.
    """
    if not mounts.exists():
        return None
    target, best, kind = folder.resolve(), -1, None
    for line in mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        left, separator, right = line.partition(" - ")
        if not separator:
            continue
        point = Path(_unescape(left.split(" ")[4]))
        if target.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), right.split(" ")[0]
    return kind


def refuse_network(folder: Path, mounts: Path = _MOUNTS) -> None:
    """Raise RunsDirError when the folder lies on a file system shared between machines."""
    kind = file_system(folder, mounts)
    if kind is None:
        return
    family, _, driver = kind.partition(".")
    if kind in NETWORK_TYPES or (family == "fuse" and driver in NETWORK_FUSE):
        raise RunsDirError(f"{folder} is on {kind}, where a run's log could be damaged (no reliable locks or shared memory); {WAY_OUT}")


def try_second_process(lock: Path, database: Path) -> None:
    """Have a second process try the held `lock` and read the open `database`; raise RunsDirError when either fails."""
    command = [sys.executable, "-I", "-S", "-c", _SECOND_PROCESS, str(lock), str(database)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 3:
        raise RunsDirError(f"file locks don't exclude a second process in {lock.parent}; {WAY_OUT}")
    if done.returncode != 0:
        reason = done.stderr.strip() or f"exit status {done.returncode}"
        raise RunsDirError(f"a second process can't read a run in {database.parent} while it is written ({reason}); {WAY_OUT}")


def _unescape(field: str) -> str:
    """mountinfo writes space, tab, newline and backslash as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
