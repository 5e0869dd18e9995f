"""`ksearch ui`: serve until Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ksearch.errors import BadInput
from ksearch.store.log import EventLog
from ksearch.store.runs import default_runs_dir, find_run
from ksearch.ui.admission import new_token
from ksearch.ui.connections import Server
from ksearch.ui.handler import Handler
from ksearch.ui.hub import Hub

POLL_SECONDS = 0.2
"""How long a signal may go unnoticed: one that the system gives to another thread doesn't wake the one that waits."""


def serve(run: str | None, runs_dir: Path | None, *, port: int, browser: bool, as_json: bool) -> None:
    """Show one run, or all of the folder. Returns after Ctrl-C or SIGTERM. Raises BadInput, UnknownRun, NotARun."""
    folder = default_runs_dir(runs_dir)
    only = None if run is None else find_run(run, folder)
    if only is not None:
        EventLog.open_reader(only.database).close()  # what is no run is refused before a server starts
    with served(Hub(folder, only), port) as (server, address):
        print(json.dumps({"url": address, "port": server.server_port}) if as_json else _invitation(address), flush=True)  # noqa: T201
        with _launched(address if browser else None):
            _wait_for_the_end()
    if not as_json:
        print("stopped", file=sys.stderr)  # noqa: T201


@contextmanager
def served(hub: Hub, port: int) -> Iterator[tuple[Server, str]]:
    """A server in a thread of its own, and the address to open. Raises BadInput when the port is taken."""
    token = new_token()
    try:
        server = Server(port, type("BoundHandler", (Handler,), {"token": token, "hub": hub}))
    except (OSError, OverflowError) as error:
        raise BadInput(f"--port {port}: {error}; choose another, or none for a free one") from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="ksearch-ui")
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_port}/?token={token}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        hub.close()


def _invitation(address: str) -> str:
    lines = [f"open {address}", "the address is a key: whoever has it can see and steer the runs shown. Ctrl-C ends."]
    if "SSH_CONNECTION" in os.environ:
        port = address.split(":")[2].split("/")[0]
        lines.insert(1, f"from the machine you sit at, first: ssh -L {port}:127.0.0.1:{port} THIS-MACHINE")
    return "\n".join(lines)


@contextmanager
def _launched(address: str | None) -> Iterator[None]:
    """Have the user's browser open the address through a private file: an argument would show the token to every user of the machine."""
    if address is None or not _has_browser():
        yield
        return
    with tempfile.TemporaryDirectory(prefix="ksearch-ui-") as folder:
        page = Path(folder) / "open.html"
        page.write_text(f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={address}">\n', "utf-8")
        page.chmod(0o600)
        webbrowser.open(page.as_uri())
        yield


def _has_browser() -> bool:
    """A terminal browser in place of a window would take the terminal over."""
    return "SSH_CONNECTION" not in os.environ and (
        sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    )


def _wait_for_the_end() -> None:
    end = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        end.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not end.wait(POLL_SECONDS):
            pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
