"""Who is let in, request by request, on a real server."""

from __future__ import annotations

import contextlib
import json
import socket

import pytest

from ksearch.store.log import EventLog
from ksearch.ui.admission import Asked, denial, new_token
from tests.ui.conftest import Site

DATA = "/runs/first/data.json"
PATHS = ("/", "/runs/first/", DATA, "/runs/first/candidate.json?id=0", "/runs/first/status.json", "/runs/none/", "/nothing")
STOP = {"kind": "stop"}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("token", [None, "", "wrong", "\u00e9", "A" * 43])
def test_without_the_token_nothing_is_told_not_even_what_there_is(site: Site, path: str, token: str | None) -> None:
    headers = {} if token is None else {"X-Ksearch-Token": token.encode("latin-1", "replace").decode("latin-1")}
    status, _, body = site.ask(path, headers=headers, token=False)
    assert status == 403
    assert b"without its token" in body
    assert b"first" not in body


def test_with_the_token_in_address_or_header_it_answers(site: Site) -> None:
    assert site.ask(DATA)[0] == 200
    assert site.ask(DATA, headers={"X-Ksearch-Token": site.token}, token=False)[0] == 200


def test_tokens_are_long_and_new_each_time() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 43


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "localhost.evil.example:1",
        "10.0.0.1",
        "",
        "127.0.0.1@evil.example",
        "[::1",
    ],
)
def test_a_foreign_host_is_refused_even_with_the_token(site: Site, host: str) -> None:
    assert site.ask(DATA, headers={"Host": host})[0] in (400, 421)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8080", "LOCALHOST", "[::1]:9000"])
def test_loopback_names_are_taken_with_any_port_for_a_tunnel(site: Site, host: str) -> None:
    assert site.ask(DATA, headers={"Host": host})[0] == 200


def test_two_hosts_or_none_are_refused(site: Site) -> None:
    for lines in ("Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n", "", "Host : 127.0.0.1\r\n"):
        assert b" 421 " in spoken(site, f"GET {DATA}?token={site.token} HTTP/1.1\r\n{lines}\r\n").split(b"\r\n")[0] + b" "


def spoken(site: Site, text: str) -> bytes:
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
        connection.sendall(text.encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1", "http://localhost:{port}", ""]
)
def test_pages_of_other_origins_are_refused(site: Site, origin: str) -> None:
    assert site.ask(DATA, headers={"Origin": origin.format(port=site.port)})[0] == 403


def test_its_own_page_is_let_in(site: Site) -> None:
    own = {"Origin": f"http://127.0.0.1:{site.port}", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    assert site.ask(DATA, headers=own)[0] == 200


@pytest.mark.parametrize("where", ["cross-site", "same-site", "nonsense"])
def test_another_sites_script_image_or_frame_is_refused(site: Site, where: str) -> None:
    for destination in ("empty", "image", "iframe", "script"):
        headers = {"Sec-Fetch-Site": where, "Sec-Fetch-Dest": destination}
        assert site.ask(DATA, headers=headers)[0] == 403
        assert site.ask("/runs/first/", headers=headers)[0] == 403


def test_a_link_from_elsewhere_opens_the_page_but_not_its_data(site: Site) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert site.ask("/runs/first/", headers=headers)[0] == 200
    assert site.ask(DATA, headers=headers)[0] == 403


def test_a_change_needs_the_token_in_a_header_and_json(site: Site) -> None:
    body = json.dumps(STOP).encode()
    path, kind = "/runs/first/requests", {"Content-Type": "application/json"}
    assert site.ask(path, method="POST", headers=kind, body=body)[0] == 403, "a token in the address isn't enough: a form could send it"
    header = {"X-Ksearch-Token": site.token}
    assert site.ask(path, method="POST", headers={**header, "Content-Type": "text/plain"}, body=body, token=False)[0] == 415
    assert site.ask(path, method="POST", headers={**header, **kind, "Origin": "http://evil.example"}, body=body, token=False)[0] == 403
    assert site.ask(path, method="POST", headers={**header, **kind, "Sec-Fetch-Site": "same-site"}, body=body, token=False)[0] == 403
    with EventLog.open_reader(site.hub.feed("first").paths.database) as log:  # type: ignore[union-attr]
        assert log.inbox() == []


def test_a_peer_from_elsewhere_is_refused() -> None:
    token = new_token()

    def asked(peer: str) -> Asked:
        return Asked(peer, "GET", {"host": ["127.0.0.1"]}, token, is_page=False)

    assert denial(asked("127.0.0.1"), token) is None
    assert denial(asked("::1"), token) is None
    for peer in ("10.0.0.7", "192.168.1.2", "8.8.8.8", "::ffff:8.8.8.8"):
        assert denial(asked(peer), token) is not None


def test_it_listens_on_loopback_alone(site: Site) -> None:
    for address in own_addresses():
        with pytest.raises(OSError, match=r"refused|timed out|unreachable"):
            socket.create_connection((address, site.port), timeout=2).close()


def own_addresses() -> set[str]:
    """This machine's other addresses, the one by which it would reach others among them; nothing is sent to find it."""
    found = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))
        found.add(str(probe.getsockname()[0]))
    return {address for address in found if not address.startswith("127.")}
