"""Modal's evaluator without Modal: the container's body on this machine, the client against a scripted service, and the real
package's own objects, which are built without a network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import modal
import pytest

from ksearch.devices import Device
from ksearch.errors import BadInput, Unavailable
from ksearch.evaluators import places
from ksearch.evaluators.fake import FakeEvaluator
from ksearch.evaluators.modal import app, client, container
from ksearch.evaluators.modal.client import ModalEvaluator, Rental
from ksearch.evaluators.modal.container import IDLE_VARIABLE, Answer, Container
from ksearch.evaluators.modal.rental import gpu_named, shipped, usd_per_second
from ksearch.evaluators.modal.service import DeployedJudge
from ksearch.judge.description import Description, DeviceFacts
from ksearch.judge.service import DESCRIBE
from ksearch.judge.verdict import JUDGE_VERSION, Evidence, Job, Status, Verdict
from ksearch.settings import resolve
from tests.judge.conftest import HONEST, job_of, solution

ROOT = Path(__file__).parents[2]
B200 = Device("cuda:0", "fake", "sm_100")
RATE = Decimal("0.002")


# ---------------------------------------------------------------- the container


@pytest.fixture(scope="module")
def body() -> Iterator[Callable[[str], str]]:
    """The deployed function, called here."""
    _, function = app.build(app.Deployment("B200"))
    yield function.local
    container._CONTAINER.close()


def test_the_body_judges_as_any_other_judge(body: Callable[[str], str]) -> None:
    job = job_of(solution(HONEST))
    verdict = Verdict.model_validate_json(Answer.model_validate_json(body(job.model_dump_json())).line)
    assert (verdict.status, verdict.question) == (Status.PASSED, job.question)


def test_the_body_says_what_it_is_and_refuses_what_is_no_job(body: Callable[[str], str]) -> None:
    described = Answer.model_validate_json(body(DESCRIBE)).line
    assert Description.model_validate_json(described).judge_version == JUDGE_VERSION
    assert "not a job" in Answer.model_validate_json(body("{}")).line


def test_a_judge_that_dies_in_its_container_is_started_again(body: Callable[[str], str]) -> None:
    body(DESCRIBE)
    judge = container._CONTAINER._judge
    assert judge is not None
    os.kill(judge.pid, signal.SIGKILL)
    assert "devices" in Answer.model_validate_json(body(DESCRIBE)).line


def test_a_container_without_a_judge_tells_of_infrastructure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    job = job_of(solution(HONEST))
    verdict = Verdict.model_validate_json(Container().answer(job.model_dump_json()).line)
    assert (verdict.status, verdict.job, verdict.final) == (Status.INFRASTRUCTURE, job.job, False)


def test_a_containers_time_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(IDLE_VARIABLE, "120")
    monkeypatch.setattr(container, "_process_age_s", lambda: 30.0)
    monkeypatch.setattr(Container, "_answered", lambda _self, line: line)
    here, begin = Container(), time.monotonic()
    assert here.answer("x").seconds == 150.0, "its start, and its last idle wait"
    time.sleep(0.05)
    rest = here.answer("x").seconds + here.answer("x").seconds
    assert 0.05 <= rest <= time.monotonic() - begin


def test_a_process_knows_its_age() -> None:
    assert 0 < container._process_age_s() < float(Path("/proc/uptime").read_text().split()[0])


# ---------------------------------------------------------------- the client


Line = Callable[[Job], str]


@dataclass
class Call:
    """As modal.FunctionCall: an answer, an error, or nothing yet."""

    object_id: str
    outcome: str | Exception | None
    cancelled: bool = False

    def get(self, timeout: float | None = None) -> str:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        if self.outcome is None:
            time.sleep(min(timeout or 0.0, 0.01))
            raise TimeoutError
        return self.outcome

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Service:
    """A deployed function and its calls. `script` decides the calls in order; its last entry holds for all later ones."""

    script: list[Line | Exception | None]
    calls: dict[str, Call] = field(default_factory=dict)
    seen: list[Job] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def spawn(self, line: str) -> Call:
        with self.lock:
            step = self.script[min(len(self.calls), len(self.script) - 1)]
            job = Job.model_validate_json(line)
            self.seen.append(job)
            call = Call(f"fc-{len(self.calls)}", step(job) if callable(step) else step)
            self.calls[call.object_id] = call
            return call

    def join(self, handle: str) -> Call:
        return self.calls[handle]

    @property
    def judge(self) -> DeployedJudge:
        return DeployedJudge(self, self.join)


def passes(job: Job) -> str:
    return answered(FakeEvaluator().verdict(job).model_copy(update={"question": job.question}))


def answered(verdict: Verdict) -> str:
    return Answer(line=verdict.model_dump_json(), seconds=10.0).model_dump_json()


def other_question(job: Job) -> str:
    return answered(FakeEvaluator().verdict(job).model_copy(update={"question": "another"}))


def other_gpu(job: Job) -> str:
    verdict = FakeEvaluator().verdict(job)
    assert verdict.device is not None
    device = verdict.device.model_copy(update={"name": "NVIDIA H200"})
    return answered(verdict.model_copy(update={"question": job.question, "device": device}))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAUSE_S", 0.01)
    monkeypatch.setattr(client, "POLL_S", 0.02)


def evaluator(service: Service, folder: Path | None = None, **more: object) -> ModalEvaluator:
    return ModalEvaluator(service.judge, Rental("B200", B200, RATE), parallel=2, handles=folder, **more)  # type: ignore[arg-type]


def judged(service: Service, job: Job | None = None) -> Verdict:
    place = evaluator(service)
    try:
        return place.submit(job or job_of(solution(HONEST))).result(timeout=20)
    finally:
        place.close()


def test_jobs_get_their_verdicts_and_what_they_cost() -> None:
    verdict = judged(Service([passes]))
    assert verdict.status is Status.PASSED
    assert verdict.usd == pytest.approx(10.0 * float(RATE))


def of_an_older_judge(_: Job) -> str:
    return answered(Verdict(job="j", solution="s", status=Status.TIMEOUT, evidence=Evidence(message="slow"), judge_version="0"))


LOSSES: dict[str, Exception | Line] = {
    "container lost": modal.exception.InternalFailure("container lost"),
    "too long": modal.exception.FunctionTimeoutError("too long"),
    "expired": modal.exception.OutputExpiredError(),
    "no network": modal.exception.ConnectionError("no network"),
    "no app": modal.exception.NotFoundError("no such app"),
    "no name": OSError("name resolution"),
    "raised there": ValueError("raised over there"),
    "another question": other_question,
    "another gpu": other_gpu,
    "torn": lambda _: '{"line": "torn',
    "another judge": of_an_older_judge,
}


@pytest.mark.parametrize("name", LOSSES)
def test_what_modal_loses_is_asked_again(name: str) -> None:
    service = Service([LOSSES[name], passes])
    assert judged(service).status is Status.PASSED
    assert len(service.calls) == 2


def test_what_is_lost_each_time_is_infrastructure_and_its_time_is_booked() -> None:
    service = Service([modal.exception.InternalFailure("container lost")])
    verdict = judged(service)
    assert verdict.status is Status.INFRASTRUCTURE
    assert verdict.evidence is not None
    assert "container lost" in verdict.evidence.message
    assert len(service.calls) == client.TRIES
    assert verdict.usd > 0


def test_a_call_that_never_answers_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "QUEUE_S", -1319.9)  # with the job's own limits (60 s, 300 s, 900 s) and 120 s of grace: a moment
    job = job_of(solution(HONEST), limits={"total_s": 900.0, "compile_s": 300.0})
    service = Service([None, passes])
    assert judged(service, job).status is Status.PASSED
    assert service.calls["fc-0"].cancelled


def test_a_call_under_way_is_joined_by_the_next_process_and_paid_once(tmp_path: Path) -> None:
    service, job = Service([None]), job_of(solution(HONEST))
    first = evaluator(service, tmp_path / "calls")
    future = first.submit(job)
    while not list((tmp_path / "calls").glob("*")):
        time.sleep(0.005)
    first.close()
    stopped = future.result(timeout=5)
    assert (stopped.status, stopped.usd) == (Status.INFRASTRUCTURE, 0.0)
    service.calls["fc-0"].outcome = passes(service.seen[0])
    second = evaluator(service, tmp_path / "calls")
    try:
        assert second.submit(job).result(timeout=20).status is Status.PASSED
    finally:
        second.close()
    assert list(service.calls) == ["fc-0"]
    assert not list((tmp_path / "calls").iterdir()), "answered, it is nobody's to join"


def test_a_handle_that_modal_has_forgotten_is_asked_anew(tmp_path: Path) -> None:
    service, job = Service([passes]), job_of(solution(HONEST))
    client.Handles(tmp_path).keep(job, "fc-gone")
    place = evaluator(service, tmp_path)
    try:
        assert place.submit(job).result(timeout=20).status is Status.PASSED
    finally:
        place.close()


def test_a_full_disk_loses_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "calls").write_text("a file where the folder would be")
    place = evaluator(Service([passes]), tmp_path / "calls")
    try:
        assert place.submit(job_of(solution(HONEST))).result(timeout=20).status is Status.PASSED
    finally:
        place.close()


def test_a_job_looks_for_its_dataset_in_the_container() -> None:
    service = Service([passes])
    place = evaluator(service, dataset_root="/datasets/abc")
    job = job_of(solution(HONEST)).model_copy(update={"dataset_root": "/home/me/data"})
    try:
        assert place.submit(job).result(timeout=20).status is Status.PASSED, "the same question, wherever the dataset lies"
    finally:
        place.close()
    assert service.seen[0].dataset_root == "/datasets/abc"


def test_after_close_no_more_is_taken() -> None:
    place = evaluator(Service([passes]))
    place.close()
    with pytest.raises(RuntimeError):
        place.submit(job_of(solution(HONEST)))


def described(*devices: DeviceFacts, version: str = JUDGE_VERSION) -> str:
    return Answer(line=Description(judge_version=version, devices=devices).model_dump_json(), seconds=1.0).model_dump_json()


@dataclass
class Describer:
    """A deployed function that is only asked what it is."""

    outcome: str | Exception

    def spawn(self, line: str) -> Call:
        assert line == DESCRIBE
        return self.join("fc")

    def join(self, handle: str) -> Call:
        return Call(handle, self.outcome)

    @property
    def judge(self) -> DeployedJudge:
        return DeployedJudge(self, self.join)


def test_the_device_is_the_containers() -> None:
    cpu, gpu = DeviceFacts(spec="cpu", name="c", arch=None), DeviceFacts(spec="cuda:0", name="NVIDIA B200", arch="sm_100")
    assert client.device_of(Describer(described(cpu, gpu)).judge, "B200", "auto") == Device("cuda:0", "NVIDIA B200", "sm_100")
    with pytest.raises(BadInput, match="--device cpu"):
        client.device_of(Describer(described(cpu, gpu)).judge, "B200", "cpu")
    with pytest.raises(BadInput, match="ksearch modal deploy --gpu B200` again"):
        client.device_of(Describer(described(cpu, gpu, version="0")).judge, "B200", "auto")
    with pytest.raises(Unavailable, match="sees no GPU"):
        client.device_of(Describer(described(cpu)).judge, "B200", "auto")


NOT_THERE = [modal.exception.NotFoundError("App 'ksearch-b200' not found"), Answer(line="hello", seconds=0).model_dump_json()]


@pytest.mark.parametrize("trouble", NOT_THERE, ids=["not deployed", "no judge"])
def test_a_judge_that_is_not_there_is_one_line_with_the_way_out(trouble: str | Exception) -> None:
    with pytest.raises(Unavailable, match="--evaluator modal:B200") as refused:
        client.device_of(Describer(trouble).judge, "B200", "auto")
    assert "\n" not in str(refused.value)


# ---------------------------------------------------------------- what is rented


def test_gpus_that_stand_for_several_models_are_pinned_or_refused() -> None:
    assert gpu_named("h100") == "H100!"
    assert gpu_named("b200") == "B200"
    for text in ("B200:2", "B200+", "A100", "any", ""):
        with pytest.raises(BadInput, match="one of B200"):
            gpu_named(text)


def test_a_second_costs_the_gpu_and_what_stands_beside_it() -> None:
    prices = shipped()
    assert prices.gpus["B200"] < usd_per_second("B200", None) < prices.gpus["B200"] * 2
    assert usd_per_second("B200", 0.5) == Decimal("0.5")


# ---------------------------------------------------------------- Modal's own objects


def test_the_app_is_built_of_modals_objects() -> None:
    """A keyword that Modal doesn't know would fail here; no network is needed until something is deployed."""
    built, function = app.build(app.Deployment("H100!", least=1, most=2, idle_s=60))
    assert built.name == "ksearch-h100"
    assert isinstance(function, modal.Function)


def test_all_of_the_package_goes_into_the_image() -> None:
    remote = {path.split("/root/", 1)[1] for path in app.code_folders().values()}
    assert "ksearch" in remote
    for name in app.LINKED:
        inside = (ROOT / "ksearch" / name).resolve() == ROOT / "ksearch" / name
        assert inside or f"ksearch/{name}" in remote
    for folder in app.code_folders():
        assert not Path(folder).is_symlink()
        assert list(Path(folder).glob("*.py")) or folder.endswith("configs")


def test_the_images_versions_are_the_projects_own() -> None:
    constraints = set((ROOT / "constraints.txt").read_text().split("\n"))
    strangers = {pin for pin in app.pins() if pin not in constraints}
    assert {pin.split("==")[0] for pin in strangers} <= {"cupti-python"}, "of no use where constraints.txt is made"
    for needed in ("torch", "triton", "numpy", "pydantic", "typer", "rich", "apache-tvm-ffi", "ninja", "PyYAML", "safetensors"):
        assert any(pin.startswith(f"{needed}==") for pin in app.pins())


def test_datasets_are_told_apart_by_their_recorded_files(tmp_path: Path) -> None:
    assert app.dataset_name(tmp_path) is None
    (tmp_path / "blob").mkdir()
    (tmp_path / "blob" / "a.safetensors").write_bytes(b"1234")
    first = app.dataset_name(tmp_path)
    (tmp_path / "notes.md").write_text("no input")
    assert app.dataset_name(tmp_path) == first
    (tmp_path / "blob" / "a.safetensors").write_bytes(b"12345")
    assert app.dataset_name(tmp_path) != first


# ---------------------------------------------------------------- the command line


def ksearch(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), *(path for path in sys.path if path)])
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MODAL_")}
    plain |= {"PYTHONPATH": paths, "HOME": str(folder), **environment}
    command = [sys.executable, "-m", "ksearch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder, env=plain, check=False)


def test_without_a_token_nothing_is_begun_and_nothing_written(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    done = ksearch("run", "-d", "rmsnorm", "--evaluator", "modal", "--runs-dir", str(runs), folder=tmp_path)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("ksearch: --evaluator modal: Modal token not present; `modal token new`")
    assert done.stderr.count("\n") == 1
    assert not runs.exists()
    for command in (["modal", "deploy"], ["modal", "status"]):
        asked = ksearch(*command, folder=tmp_path)
        assert asked.returncode == 4
        assert "modal token new" in asked.stdout + asked.stderr


NO_PLACES = ["modal:", "modal:B201", "modal:B200:8", "ray:", "ray: ", "bundle:", "command: ", "locl", "local:1", "fake:2", ""]


@pytest.mark.parametrize("text", NO_PLACES)
def test_an_evaluator_that_is_none_is_one_line(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        places.device_at(resolve([{"definition": "rmsnorm", "evaluator": text}]))
    assert "\n" not in str(refused.value)
    assert "local" in str(refused.value) or "B200" in str(refused.value)


def test_a_second_way_to_name_the_gpu() -> None:
    named = resolve([{"definition": "rmsnorm", "evaluator": "modal:T4"}])
    set_to = resolve([{"definition": "rmsnorm", "evaluator": "modal", "modal": {"gpu": "T4"}}])
    assert places.usd_per_second(named) == places.usd_per_second(set_to) == usd_per_second("T4", None)
