"""Runs made by the real command with the packaged fake judge, and servers over them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from ksearch.store.runs import RunPaths, find_run
from ksearch.ui.hub import Hub
from ksearch.ui.serve import served

COMMAND = [sys.executable, "-m", "ksearch"]


def run_command(runs: Path, name: str, *options: str) -> list[str]:
    fixed = ["run", "-d", "rmsnorm", "--device", "cpu", "--evaluator", "fake", "--name", name, "--runs-dir", str(runs)]
    return [*COMMAND, *fixed, *options]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two finished runs, `first` and `second`; tests only look at them."""
    folder = tmp_path_factory.mktemp("runs")
    for name, evaluations in (("first", "8"), ("second", "4")):
        subprocess.run(run_command(folder, name, "--max-evaluations", evaluations), check=True, capture_output=True, timeout=60)
    return folder


@dataclass
class Site:
    """A server in this process, and how its user reaches it."""

    address: str
    hub: Hub

    @property
    def port(self) -> int:
        port = urlsplit(self.address).port
        assert port is not None
        return port

    @property
    def token(self) -> str:
        return parse_qs(urlsplit(self.address).query)["token"][0]

    def ask(
        self, path: str, *, method: str = "GET", headers: dict[str, str] | None = None, body: bytes | None = None, token: bool = True
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers by lower-case name, body."""
        if token:
            path += ("&" if "?" in path else "?") + f"token={self.token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def post(self, run: str, request: object, headers: dict[str, str] | None = None) -> tuple[int, dict[str, object]]:
        sent = {"Content-Type": "application/json", "X-Ksearch-Token": self.token, **(headers or {})}
        status, _, body = self.ask(f"/runs/{run}/requests", method="POST", headers=sent, body=json.dumps(request).encode(), token=False)
        return status, json.loads(body)


@contextmanager
def site_over(runs: Path, only: RunPaths | None = None) -> Iterator[Site]:
    hub = Hub(runs, only)
    with served(hub, 0) as (_, address):
        yield Site(address, hub)


@pytest.fixture(scope="session")
def site(runs: Path) -> Iterator[Site]:
    with site_over(runs) as made:
        yield made


@pytest.fixture(scope="session")
def site_of_one(runs: Path) -> Iterator[Site]:
    with site_over(runs, find_run("first", runs)) as made:
        yield made


@contextmanager
def searching(runs: Path, name: str, *options: str, delay_s: float = 0.3) -> Iterator[subprocess.Popen[str]]:
    """A search in a process of its own, ended at the latest with the test."""
    command = run_command(runs, name, "--set", f"evaluation.fake_delay_s={delay_s}", *options)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True, env=dict(os.environ))
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
