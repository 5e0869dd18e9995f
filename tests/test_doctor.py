"""`ksearch doctor` on this machine as it is, and on small faults made for it: real processes, files and databases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksearch.doctor import Check, Status, accelerator, examine, isolation, probes, storage
from ksearch.doctor.checks import Probe, run_all
from ksearch.doctor.outlook import UNAVAILABLE, outlook

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "import typer; from ksearch.cli.doctor import doctor_command; app = typer.Typer(); app.command()(doctor_command); app()"
NAMES = [name for probe in probes() for name in probe.names]


def doctor(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with this environment and these variables."""
    command = [sys.executable, "-c", COMMAND, *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MODAL_", "KSEARCH_"))} | variables
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=110)


def test_json_answers_for_this_machine(tmp_path: Path) -> None:
    done = doctor("--json", "--runs-dir", str(tmp_path / "runs"))
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert set(said) == {"checks", "summary"}
    assert all(set(check) == {"name", "status", "value", "advice"} for check in said["checks"])
    assert {check["status"] for check in said["checks"]} <= set(Status)
    assert all(check["advice"] for check in said["checks"] if check["status"] != "ok"), "whatever isn't well needs a way out"
    assert set(said["summary"]) == {"cpu_search", "cuda_search", "language_model", "modal", "sentence", "exit_code"}
    assert said["summary"]["cpu_search"]["works"] is True
    found = {check["name"]: check for check in said["checks"]}
    assert list(found) == NAMES, "one check for each name, always in the same order"
    assert found["python"]["value"].startswith(".".join(map(str, sys.version_info[:3])))
    assert found["torch"]["status"] == "ok"
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_text_ends_with_what_will_work(tmp_path: Path) -> None:
    done = doctor(KSEARCH_RUNS=str(tmp_path / "there"), ANTHROPIC_API_KEY="", OPENAI_API_KEY="")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("cpu search: yes (")
    assert "language model: no (no key: the playbook plans)" in lines[-1]
    assert any(line.startswith("ok") and str(tmp_path / "there") in line for line in lines)
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_secrets_are_named_and_never_shown(options: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / ".modal.toml").write_text('[default]\ntoken_id = "ak-PLANTED"\ntoken_secret = "as-PLANTED"\n')
    done = doctor(*options, ANTHROPIC_API_KEY="sk-ant-PLANTED", OPENAI_API_KEY="sk-PLANTED", HOME=str(tmp_path), KSEARCH_RUNS=str(tmp_path))
    assert "ANTHROPIC_API_KEY and OPENAI_API_KEY set" in done.stdout
    assert "token present, in .modal.toml" in done.stdout
    assert "PLANTED" not in done.stdout + done.stderr


def test_half_a_modal_token_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODAL_TOKEN_ID", "ak-PLANTED")
    monkeypatch.delenv("MODAL_TOKEN_SECRET", raising=False)
    report = examine(runs_dir=tmp_path)
    (check,) = (check for check in report.checks if check.name == "modal token")
    assert check.status is Status.ERROR
    assert "PLANTED" not in json.dumps(report.as_json())
    assert not report.outlook.modal.works


def test_runs_folder_that_cant_be_written_exits_4() -> None:
    done = doctor("--runs-dir", "/proc/runs")
    assert done.returncode == UNAVAILABLE
    assert "--runs-dir" in done.stdout
    assert "cpu search: no (runs folder: /proc/runs (proc)" in done.stdout


# Probes


def test_a_probe_that_raises_or_hangs_is_an_error_and_no_more() -> None:
    def broken() -> list[Check]:
        raise ValueError("no such thing")

    def hanging() -> list[Check]:
        time.sleep(60)
        return []

    raises, hangs, with_it, well = run_all(
        [
            Probe(("raises",), broken),
            Probe(("hangs", "with it"), hanging, seconds=0.05),
            Probe(("well",), lambda: [Check("well", Status.OK, "1")]),
        ]
    )
    assert (raises.status, raises.value) == (Status.ERROR, "ValueError: no such thing")
    assert hangs.status is with_it.status is Status.ERROR
    assert hangs.value == "no answer within 0.05 s"
    assert well.status is Status.OK


def fake_driver(folder: Path, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_gpu_that_torch_cant_use_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_driver(tmp_path, "echo 'NVIDIA H200, 9.0, 143771, 580.1'; echo 'NVIDIA H200, 9.0, 143771, 580.1'")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    cpu_build = accelerator.gpus(accelerator.TorchFacts("2.13.0", None, 0))
    assert cpu_build.status is Status.ERROR
    assert cpu_build.value.startswith("NVIDIA H200, compute 9.0, 143771 MiB, driver 580.1; ")
    assert "CPU build" in str(cpu_build.advice)
    assert accelerator.gpus(accelerator.TorchFacts("2.13.0", "13.0", 0)).status is Status.ERROR
    assert accelerator.gpus(accelerator.TorchFacts("2.13.0", "13.0", 1)).status is Status.WARN
    assert accelerator.gpus(accelerator.TorchFacts("2.13.0", "13.0", 2)).status is Status.OK


def test_broken_driver_does_not_spoil_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_driver(tmp_path, "echo 'driver not loaded' >&2; exit 9")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    torch, gpu = accelerator.torch_and_gpus()
    assert torch.status is Status.OK
    assert gpu.status is Status.ERROR


@pytest.mark.parametrize(
    ("parameters", "reserved"), [("A: 0\nRmProfilingAdminOnly: 1\n", True), ("A: 1\nRmProfilingAdminOnly: 0\n", False), ("", False)]
)
def test_counters_reserved(parameters: str, reserved: bool) -> None:
    assert accelerator.counters_reserved(parameters) is reserved


@pytest.mark.skipif(sys.platform != "linux", reason="the isolation layers are Linux's")
def test_isolation_layers_are_tried_elsewhere() -> None:
    assert [check.name for check in isolation.layers()] == list(isolation.LAYERS)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    assert status["NoNewPrivs"].strip() == "0", "the probe must not bind the process that asks"


# Datasets

DEFINITION = {
    "name": "double",
    "op_type": "elementwise",
    "axes": {"n": {"type": "var"}},
    "inputs": {"x": {"shape": ["n"], "dtype": "float32"}},
    "outputs": {"y": {"shape": ["n"], "dtype": "float32"}},
    "reference": "def run(x):\n    return 2 * x\n",
}
WORKLOAD = {"definition": "double", "workload": {"axes": {"n": 8}, "inputs": {"x": {"type": "random"}}, "uuid": "w-1"}}
SOLUTION = {
    "name": "double_v1",
    "definition": "double",
    "author": "someone",
    "spec": {"language": "python", "target_hardware": ["cpu"], "entry_point": "kernel.py::run"},
    "sources": [{"path": "kernel.py", "content": "def run(x, y): y.copy_(2 * x)\n"}],
}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for name, text in {
        "definitions/elementwise/double.json": json.dumps(DEFINITION),
        "workloads/elementwise/double.jsonl": f"{json.dumps(WORKLOAD)}\n\n{json.dumps(WORKLOAD)}\n",
        "solutions/double/double_v1.json": json.dumps(SOLUTION),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_sound_dataset_is_counted(dataset: Path) -> None:
    (check,) = storage.dataset(dataset)
    assert check.status is Status.OK
    assert check.value.endswith("1 definitions, 2 workloads, 1 solutions")


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("definitions/elementwise/double.json", "{", "double.json: not JSON"),
        ("definitions/elementwise/double.json", json.dumps({**DEFINITION, "reference": "x ="}), "reference is not valid Python"),
        ("definitions/elementwise/double.json", json.dumps([1]), "double.json: Definition"),
        ("workloads/elementwise/double.jsonl", f"{json.dumps(WORKLOAD)}\n{{}}\n", "double.jsonl:2"),
        ("workloads/elementwise/double.jsonl", "7\n", "double.jsonl:1"),
        (
            "workloads/elementwise/double.jsonl",
            json.dumps(WORKLOAD).replace('{"type": "random"}', '{"type": "safetensors", "path": "gone.st", "tensor_key": "x"}'),
            "gone.st are not there",
        ),
        ("solutions/double/double_v1.json", json.dumps({**SOLUTION, "sources": []}), "double_v1.json: sources"),
        ("solutions/double/double_v1.json", "\udcff", "double_v1.json: 'utf-8' codec"),
    ],
)
def test_first_malformed_file_is_named(dataset: Path, file: str, text: str, fault: str) -> None:
    (dataset / file).write_bytes(text.encode("utf-8", "surrogateescape"))
    (check,) = storage.dataset(dataset)
    assert check.status is Status.ERROR
    assert fault in check.value


def test_dataset_that_is_none_exits_4(tmp_path: Path) -> None:
    done = doctor("--json", "--dataset", str(tmp_path), "--runs-dir", str(tmp_path))
    assert done.returncode == UNAVAILABLE
    said = json.loads(done.stdout)
    assert said["checks"][-1]["name"] == "dataset"
    assert "no definitions/ folder" in said["checks"][-1]["value"]
    assert said["summary"]["exit_code"] == UNAVAILABLE


def test_file_system_is_the_innermost_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw,relatime - ext4 /dev/sda rw\n"
        "2 1 0:5 / /data rw shared:1 - nfs4 server:/data rw\n"
        "3 2 0:6 / /data/my\\040disk rw - xfs /dev/sdb rw\n"
    )
    kinds = {place: storage.file_system(Path(place), mounts) for place in ("/home", "/data/runs", "/data/my disk/runs", "/database")}
    assert kinds == {"/home": "ext4", "/data/runs": "nfs4", "/data/my disk/runs": "xfs", "/database": "ext4"}


# What the checks amount to


@given(st.fixed_dictionaries({name: st.sampled_from(Status) for name in [*NAMES, "dataset"]}))
def test_outlook_promises_only_what_the_checks_allow(statuses: dict[str, Status]) -> None:
    checks = [Check(name, status, "value") for name, status in statuses.items()]
    usable = {check.name for check in checks if check.usable}
    found = outlook(checks)
    assert found.cpu_search.works == ({"python", "torch", "numpy", "runs folder", "dataset"} <= usable)
    assert found.exit_code == (0 if found.cpu_search.works else UNAVAILABLE)
    assert found.cuda_search.works == (found.cpu_search.works and "gpu" in usable)
    assert found.language_model.works == bool(usable & {"ANTHROPIC_API_KEY", "OPENAI_API_KEY"})
    unsafe = not {"no_new_privs", "seccomp", "landlock"} <= usable
    assert ("--unsafe-runner" in found.cpu_search.reason) == (found.cpu_search.works and unsafe)
