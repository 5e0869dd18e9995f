"""What the server answers: fixed routes, limits, headers, requests that reach the inbox."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from ksearch.asking import requests_of
from ksearch.records.reading import StoredRun
from ksearch.report.page.data import page_data
from ksearch.store.runs import find_run
from ksearch.ui import connections
from ksearch.ui.connections import PLACES
from tests.ui.conftest import COMMAND, Site, run_command, site_over
from tests.ui.test_admission import spoken


def test_the_front_lists_every_run_with_a_link(site: Site) -> None:
    status, headers, body = site.ask("/")
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    for run in ("first", "second"):
        assert f'href="/runs/{run}/?token={site.token}"'.encode() in body
    assert b"<script" not in body


def test_the_front_of_one_run_leads_to_it_and_to_no_other(site_of_one: Site) -> None:
    status, headers, _ = site_of_one.ask("/")
    assert (status, headers["location"]) == (303, f"/runs/first/?token={site_of_one.token}")
    assert site_of_one.ask("/runs/second/")[0] == 404


def test_data_are_those_of_the_report_and_only_sent_when_new(site: Site, runs: Path) -> None:
    with StoredRun.open("first", runs) as run:
        newest = page_data(run)
        early = page_data(run, 20).model_dump_json().encode()
    assert site.ask("/runs/first/data.json")[2] == newest.model_dump_json().encode()
    assert site.ask(f"/runs/first/data.json?have={newest.run.seq - 1}")[0] == 200
    assert site.ask(f"/runs/first/data.json?have={newest.run.seq}")[::2] == (204, b"")
    for _ in range(2):
        assert site.ask("/runs/first/data.json?seq=20")[2] == early
    assert json.loads(site.ask("/runs/first/data.json?seq=0")[2])["run"]["seq"] == 1
    assert json.loads(site.ask("/runs/first/data.json?seq=999999")[2])["run"]["seq"] == newest.run.seq


def test_a_kernel_is_sent_by_number(site: Site) -> None:
    assert json.loads(site.ask("/runs/first/candidate.json?id=1")[2])["candidate"] == 1
    assert site.ask("/runs/first/candidate.json?id=4711")[0] == 404
    for wrong in ("", "-1", "1.5", "0x1", "1e3", "\u0661"):
        assert site.ask(f"/runs/first/candidate.json?id={wrong.encode().hex() if not wrong.isascii() else wrong}")[0] in (400, 404)


def test_every_answer_forbids_embedding_sniffing_and_keeping(site: Site) -> None:
    for path in ("/", "/runs/first/", "/runs/first/data.json", "/nothing", "/runs/first/status.json"):
        _, headers, _ = site.ask(path)
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
        assert "set-cookie" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/runs/../first/", "/runs/..%2ffirst/", "/runs/%66irst/", "/runs/first/../../etc/passwd", "/runs//first/",
        "/runs/first/run.sqlite", "/runs/first/data.json/", "/runs/first/assets/controls.js", "/runs/.import-x/", "/runs/first%00/",
        "http://127.0.0.1/runs/first/", "/runs/first", "/runs/fir/",
    ],
)  # fmt: skip
def test_only_the_fixed_routes_are_there(site: Site, path: str) -> None:
    assert site.ask(path)[0] == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD", "TRACE", "CONNECT", "PATCH"])
def test_other_methods_are_refused(site: Site, method: str) -> None:
    assert site.ask("/runs/first/", method=method)[0] == 501
    assert site.ask("/runs/first/requests")[0] == 404, "a GET changes nothing"


def test_nonsense_is_refused_and_the_server_goes_on(site: Site) -> None:
    for text in (
        "nonsense\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\x00\x01\x02\r\n",
        "GET /" + "a" * 70_000 + " HTTP/1.1\r\n\r\n",
    ):
        assert b"200" not in spoken(site, text)[:20]
    many = "".join(f"X-{number}: 1\r\n" for number in range(200))
    assert b"431" in spoken(site, f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n{many}\r\n")[:20]
    assert site.ask("/?" + "&".join(f"a{number}=1" for number in range(50)))[0] == 400
    assert site.ask("/runs/first/status.json")[0] == 200


def test_requests_have_a_greatest_size(site: Site) -> None:
    status, _ = site.post("first", {"kind": "ban", "idea": "x" * 20_000})
    assert status == 413
    headers = {"Content-Type": "application/json", "X-Ksearch-Token": site.token, "Content-Length": "100"}
    text = "POST /runs/first/requests HTTP/1.1\r\nHost: 127.0.0.1\r\n" + "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    assert b" 400 " in spoken(site, f"{text}\r\n{{}}")[:20], "shorter than it said"


def test_large_answers_are_compressed_when_the_browser_takes_it(site: Site) -> None:
    _, headers, packed = site.ask("/runs/first/", headers={"Accept-Encoding": "gzip, br"})
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed) == site.ask("/runs/first/")[2]


def test_requests_reach_the_inbox_or_are_refused_with_a_reason(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "second", tmp_path / "asked")
    with site_over(tmp_path) as site:
        assert site.post("asked", {"kind": "pin", "node": 1})[0] == 202
        status, body = site.post("asked", {"kind": "ban", "idea": "vektorise"})
        assert (status, body["outcome"]) == (202, "waiting")
        assert "did you mean 'vectorise'" in str(body["note"])
        assert site.post("asked", {"kind": "budget", "limits": {"max_evaluations": 30, "max_usd": None}})[0] == 202
        for wrong, hint in (
            ({"kind": "pin", "node": 999}, "no node 999"),
            ({"kind": "pin", "node": 0}, "no node 0"),
            ({"kind": "stop"}, "nobody is searching"),
            ({"kind": "budget", "limits": {"max_tokenz": 1}}, "max_tokens"),
        ):
            status, body = site.post("asked", wrong)
            assert (status, hint in str(body["error"])) == (409, True), body
        nonsense: list[object] = [
            {"kind": "exec"},
            {"kind": "pin"},
            [],
            "stop",
            {"kind": "ban", "idea": "a\nb"},
            {"kind": "pin", "node": -1},
        ]
        assert [site.post("asked", request)[0] for request in nonsense] == [400] * 6
        assert site.post("absent", {"kind": "pin", "node": 1})[0] == 404
        shown = json.loads(site.ask("/runs/asked/status.json")[2])
    assert [(request["number"], request["origin"], request["outcome"]) for request in shown["requests"]] == [
        (number, "page", "waiting") for number in (1, 2, 3)
    ]
    assert len(requests_of("asked", tmp_path)) == 3


def test_idle_and_slow_connections_dont_stall_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than there are places: silent ones, ones that send a byte now and then, and the answer still comes at once."""
    monkeypatch.setattr(connections, "READ_SECONDS", 1.5)
    crowd = [socket.create_connection(("127.0.0.1", site.port), timeout=10) for _ in range(PLACES + 40)]
    try:
        for connection in crowd[::2]:
            connection.sendall(b"GET /runs/first/data.json HTTP/1.1\r\nX-Slow: ")
        for _ in range(3):
            began = time.monotonic()
            assert site.ask("/runs/first/status.json")[0] == 200
            assert time.monotonic() - began < 2
            for connection in crowd[-10:]:
                connection.sendall(b"a")
        time.sleep(connections.READ_SECONDS + 0.5)
        for connection in crowd:
            assert gone(connection), "a connection that asks nothing is hung up on"
    finally:
        for connection in crowd:
            connection.close()
    assert site.ask("/runs/first/status.json")[0] == 200


def gone(connection: socket.socket) -> bool:
    connection.settimeout(1)
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def test_a_run_that_cant_be_read_is_said_to_be_so(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.sqlite").write_bytes(b"not a database")
    (tmp_path / "<script>alert(1)<script>").mkdir()
    shutil.copy(runs / "first" / "run.sqlite", tmp_path / "<script>alert(1)<script>" / "run.sqlite")
    with site_over(tmp_path) as site:
        _, _, front = site.ask("/")
        assert b"unreadable" in front
        assert b"<script" not in front
        status, _, body = site.ask("/runs/broken/")
        assert status == 409
        assert b"not a ksearch run" in body


def test_commands_name_a_run_of_the_usual_place_by_its_name(site: Site, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(site.ask("/runs/first/status.json")[2])["quoted"] == str(runs / "first")
    monkeypatch.setenv("KSEARCH_RUNS", str(runs))
    assert json.loads(site.ask("/runs/first/status.json")[2])["quoted"] == "first"


def test_a_run_outside_the_folder_is_shown_under_its_name(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "first", tmp_path / "a folder with spaces")
    with site_over(tmp_path, find_run(str(tmp_path / "a folder with spaces"), tmp_path)) as site:
        assert site.ask("/")[1]["location"].startswith("/runs/run/?")
        assert site.ask("/runs/run/")[0] == 200
        assert json.loads(site.ask("/runs/run/status.json")[2])["quoted"] == f"'{tmp_path / 'a folder with spaces'}'"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_stopped(runs: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [*COMMAND, "ui", "first", "--json", "--runs-dir", str(runs)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    site = Site(told["url"], None)  # type: ignore[arg-type]
    assert site.port == told["port"]
    assert site.ask("/runs/first/status.json")[0] == 200
    idle = socket.create_connection(("127.0.0.1", site.port))
    began = time.monotonic()
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    assert time.monotonic() - began < 5
    idle.close()


def test_a_taken_port_and_an_unknown_run_are_one_line(site: Site, runs: Path) -> None:
    for arguments, hint in ((["first", "--port", str(site.port)], "--port"), (["nothing-like-it"], "unknown run")):
        command = [*COMMAND, "ui", *arguments, "--no-browser", "--runs-dir", str(runs)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 2
        assert hint in done.stderr
        assert "Traceback" not in done.stderr


def test_the_token_is_in_no_argument_and_in_no_file_that_others_read(runs: Path, tmp_path: Path) -> None:
    """The browser is told through a private file: arguments can be read by every user of a machine."""
    seen, script = tmp_path / "seen", tmp_path / "browser"
    lines = (
        "#!/bin/sh",
        'file="${1#file://}"',
        f'{{ echo "$1"; stat -c "%a" "$file" "$(dirname "$file")"; cat "$file"; }} > {seen}',
        f": > {seen}.done",
    )
    script.write_text("\n".join(lines) + "\n")
    script.chmod(0o755)
    environment = {**os.environ, "BROWSER": f"{script} %s", "DISPLAY": ":77"}
    environment.pop("SSH_CONNECTION", None)
    process = subprocess.Popen(
        [*COMMAND, "ui", "first", "--runs-dir", str(runs)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    address = process.stdout.readline().split()[1]
    token = Site(address, None).token  # type: ignore[arg-type]
    for _ in range(100):
        if Path(f"{seen}.done").exists():
            break
        time.sleep(0.1)
    argument, file_mode, folder_mode, *page = seen.read_text().splitlines()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert argument.startswith("file://")
    assert token not in argument
    assert (file_mode, folder_mode) == ("600", "700")
    assert address in "".join(page)
    assert not Path(argument.removeprefix("file://")).exists()


def test_a_new_run_appears_on_the_front(runs: Path, tmp_path: Path) -> None:
    with site_over(tmp_path) as site:
        assert b"No runs here yet" in site.ask("/")[2]
        subprocess.run(run_command(tmp_path, "new", "--max-evaluations", "2"), check=True, capture_output=True, timeout=60)
        assert b"/runs/new/?" in site.ask("/")[2]
        assert site.ask("/runs/new/")[0] == 200
