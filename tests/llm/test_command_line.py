"""Choosing models from the command line: what is refused, what is said first, what a script may count on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ksearch.definitions.schema import BuildSpec, Solution, SourceFile
from ksearch.errors import BadInput
from ksearch.evaluators.judge_process import JudgeProcess
from ksearch.llm.setup import DEFAULT_USD, choose
from ksearch.settings import parse_assignment, resolve
from tests.judge.conftest import RMSNORM, job_of
from tests.llm.brain import Diligent
from tests.llm.conftest import KEY
from tests.llm.messages_server import serving

KEYED = {"ANTHROPIC_API_KEY": KEY}


def ksearch(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    command = [sys.executable, "-m", "ksearch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**clean, **env}, timeout=60, check=False)


def settings(*assignments: str):  # type: ignore[no-untyped-def]
    return resolve([{"definition": "rmsnorm"}, *map(parse_assignment, assignments)])


def test_auto_takes_the_model_when_its_key_is_set_and_stops_at_five_dollars() -> None:
    choice = choose(settings(), KEYED)
    assert (choice.settings.planner, choice.settings.coder, choice.uses_models) == ("llm", "llm", True)
    assert choice.settings.budget.max_usd == DEFAULT_USD == 5.0
    assert choose(settings("budget.max_tokens=100"), KEYED).settings.budget.max_usd is None, "the user's own limit is enough"
    assert choose(settings("budget.max_usd=50"), KEYED).settings.budget.max_usd == 50


def test_auto_takes_the_playbook_without_a_key() -> None:
    choice = choose(settings(), {})
    assert (choice.settings.planner, choice.settings.coder, choice.uses_models) == ("playbook", "playbook", False)
    assert choice.settings.budget.max_usd is None
    assert choose(settings("coder=playbook"), KEYED).settings.planner == "playbook"


@pytest.mark.parametrize(
    ("assignments", "environ", "hint"),
    [
        (["planner=llm"], {}, "ANTHROPIC_API_KEY is not set"),
        (["planner=llm", "coder=playbook"], KEYED, "--coder llm"),
        (["planner=llm", "llm.model=anthropic:claude-next"], KEYED, "--set 'llm.prices={claude-next: {input:"),
        (["planner=llm", "llm.model=openai:my-model", "llm.openai_url=http://localhost:1/v1"], {}, "llm.prices={my-model"),
        (["planner=llm", "llm.model=gpt"], KEYED, "anthropic:MODEL"),
        (["planner=llm", "llm.model='command: '"], KEYED, "anthropic:MODEL"),
        (["planner=llm", "llm.coder_model='openai:other'"], KEYED, "no price"),
    ],
)
def test_what_is_missing_is_named_with_the_way_out(assignments: list[str], environ: dict[str, str], hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        choose(settings(*assignments), environ)
    assert hint in str(caught.value)
    assert caught.value.exit_code == 2


def test_the_setting_that_a_refusal_names_is_the_way_out() -> None:
    with pytest.raises(BadInput) as caught:
        choose(settings("planner=llm", "llm.model=anthropic:claude-next"), KEYED)
    suggested = str(caught.value).split("--set '")[1].split("'")[0]
    assert choose(settings("planner=llm", "llm.model=anthropic:claude-next", suggested), KEYED).uses_models


def test_a_key_is_no_setting() -> None:
    with pytest.raises(BadInput, match="unknown setting"):
        settings(f"llm.api_key={KEY}")
    with pytest.raises(BadInput, match=r"llm\.key_variable"):
        settings("llm.key_variable=HOME")


def test_an_unknown_price_ends_the_program_with_two_and_nothing_written(tmp_path: Path) -> None:
    done = ksearch("run", "-d", "rmsnorm", "--device", "cpu", "--planner", "llm", "--model", "anthropic:claude-next", cwd=tmp_path, **KEYED)
    assert (done.returncode, done.stdout) == (2, "")
    assert "llm.prices" in done.stderr
    assert not list(tmp_path.rglob("*.sqlite"))


def test_a_dry_run_says_first_who_is_asked_and_what_it_may_cost(tmp_path: Path) -> None:
    done = ksearch("run", "-d", "rmsnorm", "--device", "cpu", "--dry-run", cwd=tmp_path, **KEYED)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()[:2]
    assert "claude-opus-5-5 as planner and coder (ANTHROPIC_API_KEY is set)" in first
    assert "5 US dollars" in second
    assert "up to 5 US dollars" in done.stdout
    assert KEY not in done.stdout + done.stderr


@pytest.mark.slow
def test_a_whole_run_against_an_endpoint(tmp_path: Path) -> None:
    """Every layer from the command line to the summary; the key is nowhere in what is printed or stored."""
    with serving(Diligent(failing=0.0)) as server:
        environ = {**KEYED, "ANTHROPIC_BASE_URL": server.url}
        arguments = ["run", "-d", "rmsnorm", "--device", "cpu", "--evaluator", "fake", "--max-evaluations", "6", "--name", "one", "--json"]
        done = ksearch(*arguments, "--runs-dir", str(tmp_path), cwd=tmp_path, **environ)
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        served = server.served
    assert summary["incumbent"]["speedup"] > 1
    cost = summary["cost"]
    assert cost["input_tokens"] + cost["cached_tokens"] + cost["output_tokens"] == served.total
    assert cost["cached_tokens"] == served.cached > 0
    assert cost["usd"] > 0
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()) + (done.stdout + done.stderr).encode()
    assert KEY.encode() not in everything


def test_a_program_as_the_model(tmp_path: Path) -> None:
    script = tmp_path / "model.py"
    script.write_text(textwrap.dedent("""
        import json, sys
        prompt = sys.stdin.read()
        about = {"followed": True, "did": "", "tunables": []}
        if "# Your task: plan" in prompt:
            steps = [dict(technique=f"t{len(prompt)}_{i}", target="x", parameter="", intent="do", rationale="so", regime="", speedup_low=1,
                          speedup_likely=1.1, speedup_high=2, p_success=0.9, difficulty=1, merge_node=None) for i in range(3)]
            answer = {"tool": "propose", "arguments": {"edits": [], "proposals": steps}}
        else:
            code = f"# toy: {{\\"speedup\\": {1 + len(prompt) % 97 / 50}}}\\nN = {len(prompt)}\\ndef run(*a): pass\\n"
            arguments = {"language": "python", "entry_point": "k.py::run", "files": [{"path": "k.py", "content": code}], **about}
            answer = {"tool": "write_solution", "arguments": arguments}
        print("Here you are:\\n```json\\n" + json.dumps(answer) + "\\n```")
    """))
    arguments = ["run", "-d", "rmsnorm", "--device", "cpu", "--evaluator", "fake", "--planner", "llm"]
    model = f"command:{sys.executable} {script}"
    done = ksearch(*arguments, "--model", model, "--max-evaluations", "5", "--runs-dir", str(tmp_path),
            "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["evaluations"] == 5
    assert summary["cost"]["usd"] == 0
    assert summary["cost"]["output_tokens"] > 0


def test_a_candidate_sees_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real judge, real sandbox: the candidate hands out its whole environment, and the judge's as far as it can look."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("MY_GATEWAY_TOKEN", KEY)
    source = textwrap.dedent("""
        import os
        def run(x, w, out):
            seen = [str(dict(os.environ))]
            for process in (x for x in os.listdir("/proc") if x.isdigit()):
                try:
                    seen.append(open(f"/proc/{process}/environ").read())
                except OSError:
                    pass
            raise RuntimeError("seen: " + " ".join(seen))
    """)
    spec = BuildSpec(language="python", target_hardware=("cpu",), entry_point="kernel.py::run")
    spy = Solution(name="spy", definition=RMSNORM, author="test", spec=spec, sources=(SourceFile(path="kernel.py", content=source),))
    process = JudgeProcess("cpu")
    try:
        judge_environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        verdict = process.judge(job_of(spy))
    finally:
        process.kill()
    assert KEY.encode() not in judge_environment
    text = verdict.model_dump_json()
    assert "seen: " in text, "the candidate must have run, or this proves nothing"
    assert "PYTHONHASHSEED" in text
    assert KEY not in text


def test_the_five_dollars_hold_in_a_live_run(tmp_path: Path) -> None:
    """A first call that could pass them is not made: the limit that nobody stated is the run's own from its first event on."""
    with serving(Diligent()) as server:
        done = ksearch(
            "run", "-d", "rmsnorm", "--device", "cpu", "--evaluator", "fake", "--max-evaluations", "5", "--runs-dir", str(tmp_path),
            "--json",
            "--set", f"llm.anthropic_url={server.url}",
            "--set", "llm.prices={claude-opus-5-5: {input: 200, output: 200, cached: 200, written: 200}}",
            cwd=tmp_path, ANTHROPIC_API_KEY=KEY,
        )  # fmt: skip
    assert json.loads(done.stdout)["status"] == "budget", done.stderr
    assert server.served.calls == 0
