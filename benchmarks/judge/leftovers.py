"""What evaluations leave behind: a hundred of them, by kernels that try to leave something.

    python benchmarks/judge/leftovers.py [--evaluations 100] [--json]

Honest kernels take turns with ones that hang, fork, start threads, crash, leave early, write files wherever they can and fill
shared memory. This process is made the one that inherits its descendants' orphans, so that none can get out of sight. Printed:
processes and descriptors while it went on and at the end, files, shared memory. Exit status 1 when anything is left.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

MARK = f"ksearch-leftover-{os.getpid()}"
PR_SET_CHILD_SUBREAPER = 36
TIMEOUT_S = 2.0

HONEST = """
import torch
def run(x, w, out):
    f = x.float()
    out.copy_(f * torch.rsqrt(f.square().mean(-1, keepdim=True) + 1e-5) * w.float())
"""
WRITES = f"""
import os, pathlib
for folder in ("/tmp", "/dev/shm", "/var/tmp", os.path.expanduser("~"), os.getcwd(), os.environ.get("TMPDIR", "/tmp")):
    try:
        (pathlib.Path(folder) / "{MARK}").write_bytes(b"x" * 4096)
    except OSError:
        pass
"""
FORKS = """
import os, subprocess, threading, time
for begin in (os.fork, lambda: subprocess.Popen(["sleep", "600"]), lambda: threading.Thread(target=time.sleep, args=(600,)).start()):
    try:
        if begin() == 0:
            os.setsid()
            time.sleep(600)
    except (OSError, RuntimeError):
        pass
"""
SHARED = f"""
import mmap, os
from multiprocessing import shared_memory
try:
    shared_memory.SharedMemory("{MARK}", create=True, size=2**20)
except OSError:
    pass
os.memfd_create("kept") if hasattr(os, "memfd_create") else None
"""
KERNELS: dict[str, str] = {
    "honest": HONEST,
    "hangs": "def run(x, w, out):\n    while True: pass\n",
    "writes files": WRITES + HONEST,
    "forks": FORKS + HONEST,
    "shares memory": SHARED + HONEST,
    "wrong": HONEST + "    out.mul_(2)\n",
    "raises": "def run(x, w, out):\n    raise ValueError('no')\n",
    "leaves early": "import os\ndef run(x, w, out):\n    os._exit(0)\n",
    "crashes": "import ctypes\ndef run(x, w, out):\n    ctypes.string_at(8)\n",
}
HANGS_EVERY = 3
"""Of the rounds through all kernels: one that hangs costs its whole time limit."""


@dataclass
class Leftovers:
    """`most_processes`: descendants alive after a verdict was given, at most (judge, fork server, a standby runner's). The rest: what was
    there at the end and had not been there at the beginning."""

    evaluations: int = 0
    seconds: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    most_processes: int = 0
    judge_descriptors: tuple[int, int] = (0, 0)
    """Open in the judge after a tenth of the evaluations, and at the end."""
    processes: list[str] = field(default_factory=list)
    descriptors: int = 0
    files: list[str] = field(default_factory=list)
    shared_memory: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.processes or self.descriptors or self.files or self.shared_memory)


def measure(count: int, scratch: Path) -> Leftovers:
    """Judges `count` candidates on cpu; temporary files and the cache of artefacts go below `scratch`."""
    temporary, cache = scratch / "tmp", scratch / "cache"
    temporary.mkdir()
    os.environ |= {"TMPDIR": str(temporary), "KSEARCH_CACHE": str(cache)}
    tempfile.tempdir = None
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    shared, open_before = _shared_memory(), _descriptors(os.getpid())
    found = _judge_all(count)
    _reap()
    found.processes = [_name(pid) for pid in _children(os.getpid())]
    found.descriptors = max(0, _descriptors(os.getpid()) - open_before)
    found.files = sorted(_named(path, temporary) for path in temporary.rglob("*")) + _marked()
    found.shared_memory = sorted(_shared_memory() - shared)
    return found


def _judge_all(count: int) -> Leftovers:
    from ksearch.evaluators.local import LocalEvaluator

    found, statuses, begin = Leftovers(evaluations=count), Counter[str](), time.monotonic()
    job_of = _jobs()
    evaluator = LocalEvaluator("cpu", compile_workers=1)
    try:
        for number in range(count):
            verdict = evaluator.submit(job_of(number)).result()
            statuses[verdict.status.value] += 1
            found.most_processes = max(found.most_processes, len(_family(os.getpid())) - 1)
            judge = evaluator._queue._judge
            if judge is not None and number in (count // 10, count - 1):
                found.judge_descriptors = (found.judge_descriptors[1] or _descriptors(judge.pid), _descriptors(judge.pid))
    finally:
        evaluator.close()
    found.seconds, found.statuses = round(time.monotonic() - begin, 1), dict(statuses)
    return found


def _jobs() -> Callable[[int], object]:
    from ksearch.definitions.catalog import load_definition
    from ksearch.definitions.schema import BuildSpec, Solution, SourceFile, Workload
    from ksearch.judge.verdict import Job, JudgedWorkload, Limits

    definition = load_definition("rmsnorm")
    given = {"hidden_states": {"type": "random"}, "weight": {"type": "random"}}
    workload = Workload.model_validate({"axes": {"batch_size": 1}, "inputs": given, "uuid": "row"})
    spec = BuildSpec(language="python", target_hardware=("cpu",), entry_point="kernel.py::run")
    names = [name for turn in range(HANGS_EVERY) for name in KERNELS if name != "hangs" or turn == 0]

    def job(number: int) -> Job:
        source = SourceFile(path="kernel.py", content=f"{KERNELS[names[number % len(names)]]}\n# {number}\n")
        solution = Solution(name=f"s{number}", definition=definition.name, author="benchmark", spec=spec, sources=(source,))
        return Job(
            job=f"leftovers/{number}", kind="evaluate", definition=definition, solution=solution, timed_calls=3,
            workloads=(JudgedWorkload(workload=workload, regime="all", weight=1.0),), limits=Limits(timeout_s=TIMEOUT_S, total_s=60.0),
        )  # fmt: skip

    return job


def _children(pid: int) -> list[int]:
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        return [int(child) for task in tasks for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    except OSError:
        return []


def _family(pid: int) -> list[int]:
    return [pid, *(below for child in _children(pid) for below in _family(child))]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip() or f"process {pid}"
    except OSError:
        return f"process {pid}"


def _reap() -> None:
    """Collect orphans that have ended already; those still alive after five seconds are what is looked for."""
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.05)
        except ChildProcessError:
            return


def _descriptors(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def _shared_memory() -> set[str]:
    """POSIX and System V segments whose maker is this program, as far as names and owners tell on a machine that others use, too."""
    posix = {f"/dev/shm/{path.name}" for path in Path("/dev/shm").glob("*") if path.name.startswith(("ksearch", MARK))}
    rows = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    return posix | {row[1] for row in rows if int(row[4]) == os.getpid()}


def _marked() -> list[str]:
    places = ("/tmp", "/dev/shm", "/var/tmp", str(Path.home()), os.getcwd())
    return [str(Path(place) / MARK) for place in places if (Path(place) / MARK).exists()]


def _named(path: Path, root: Path) -> str:
    return str(path.relative_to(root))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ksearch-leftovers-") as scratch:
        found = measure(given.evaluations, Path(scratch))
    values = {**asdict(found), "clean": found.clean}
    print(json.dumps(values) if given.json else "\n".join(f"{name:<18}{value}" for name, value in values.items()))
    sys.exit(0 if found.clean else 1)


if __name__ == "__main__":
    main()
