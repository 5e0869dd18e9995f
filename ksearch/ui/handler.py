"""The routes: fixed patterns, each to one function. Everything else is not found."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import ValidationError

from ksearch.asking import submit
from ksearch.errors import KsearchError
from ksearch.report.page.render import Live
from ksearch.store.requests import REQUEST
from ksearch.ui.admission import Asked, denial
from ksearch.ui.connections import Server
from ksearch.ui.controls import CONTROLS
from ksearch.ui.feed import Feed
from ksearch.ui.hub import Hub
from ksearch.ui.listing import listing_page

MAX_BODY = 16 * 1024
"""Bytes of a request; the longest that is meant anything has a few hundred."""

MAX_QUERY_FIELDS = 8
ZIP_FROM = 16 * 1024
"""Bytes above which an answer is compressed: the page may be looked at through an ssh tunnel."""

_RUN = r"/runs/(?P<run>[A-Za-z0-9][A-Za-z0-9._-]{0,99})"
_GET = {
    re.compile(r"/"): "front",
    re.compile(_RUN + r"/"): "page",
    re.compile(_RUN + r"/data\.json"): "data",
    re.compile(_RUN + r"/candidate\.json"): "candidate",
    re.compile(_RUN + r"/status\.json"): "status",
}
_POST = {re.compile(_RUN + r"/requests"): "request"}
_NUMBER = re.compile(r"[0-9]{1,12}")


class Refusal(Exception):
    """Ends a request with a status and a sentence."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


NOT_FOUND = Refusal(HTTPStatus.NOT_FOUND, "there is nothing here")


@dataclass(frozen=True)
class Answer:
    status: HTTPStatus
    body: bytes = b""
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Handler(BaseHTTPRequestHandler):
    """One request of one connection. A subclass is made for each server, with its `token` and `hub`."""

    token: ClassVar[str]
    hub: ClassVar[Hub]
    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "ksearch"
    sys_version = ""

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: addresses hold the token."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class finds wrong with a request line or method, as plainly as our own refusals."""
        self._send(_refused(HTTPStatus(code), message or HTTPStatus(code).phrase))

    def _respond(self) -> None:
        self.close_connection = True  # a connection for each request: none can be held open, and none needs to be
        try:
            answer = self._answer()
        except Refusal as refusal:
            answer = _refused(refusal.status, refusal.reason)
        except (KsearchError, ValidationError, OSError) as error:  # a run that is damaged, or was removed since
            answer = _refused(HTTPStatus.CONFLICT, str(error))
        self._send(answer)

    def _answer(self) -> Answer:
        target = urlsplit(self.path)
        if target.scheme or target.netloc or not self.path.startswith("/"):
            raise NOT_FOUND
        query = _query(target.query)
        name, run = _route(_POST if self.command == "POST" else _GET, target.path)
        headers = {key.lower(): self.headers.get_all(key, []) for key in self.headers}
        asked = Asked(self.client_address[0], self.command, headers, query.get("token"), is_page=name in ("front", "page"))
        denied = denial(asked, self.token)
        if denied is not None:
            raise Refusal(denied.status, denied.reason)
        if name is None:
            raise NOT_FOUND
        body = self._body() if self.command == "POST" else b""
        self.server.has_asked(self.connection)
        return self._front() if name == "front" else self._of_run(name, run, query, body)

    def _front(self) -> Answer:
        home = self.hub.home
        if home is not None:
            return Answer(HTTPStatus.SEE_OTHER, headers={"Location": f"/runs/{home}/?{self._live().query}"})
        page, policy = listing_page(self.hub.rows(), self._live().query)
        return Answer(HTTPStatus.OK, page, "text/html; charset=utf-8", {"Content-Security-Policy": policy})

    def _of_run(self, name: str, run: str, query: Mapping[str, str], body: bytes) -> Answer:
        feed = self.hub.feed(run)
        if feed is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "there is no such run here")
        match name:
            case "page":
                policy = {"Content-Security-Policy": "frame-ancestors 'none'"}  # beside the page's own, in its head
                return Answer(HTTPStatus.OK, feed.page(self._live(), CONTROLS), "text/html; charset=utf-8", policy)
            case "data":
                return _data(feed, query)
            case "candidate":
                return _found(feed.candidate(_number(query, "id")))
            case "status":
                return Answer(HTTPStatus.OK, feed.status().model_dump_json().encode())
            case _:
                return _asked(feed, body)

    def _live(self) -> Live:
        return Live(urlencode({"token": self.token}))

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if self.headers.get_content_type() != "application/json" or _NUMBER.fullmatch(length) is None:
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/json with its length")
        if int(length) > MAX_BODY:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BODY} bytes")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise Refusal(HTTPStatus.BAD_REQUEST, "the request was cut off")
        return body

    def _send(self, answer: Answer) -> None:
        body, extra = answer.body, dict(answer.headers)
        headers = getattr(self, "headers", None)  # absent when the request line alone was too wrong to go on
        if len(body) >= ZIP_FROM and headers is not None and "gzip" in headers.get("Accept-Encoding", ""):
            body, extra["Content-Encoding"] = gzip.compress(body, compresslevel=1), "gzip"
        self.send_response(answer.status)
        for key, value in {**_SAFE, "Content-Type": answer.kind, "Content-Length": str(len(body)), **extra}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


_SAFE = {
    "Connection": "close",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""For every answer; a page replaces the policy, which otherwise lets an answer do nothing at all in a browser."""


def _refused(status: HTTPStatus, reason: str) -> Answer:
    return Answer(status, json.dumps({"error": reason}).encode())


def _query(text: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(text, max_num_fields=MAX_QUERY_FIELDS))
    except ValueError as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, "too many parameters") from error


def _route(routes: Mapping[re.Pattern[str], str], path: str) -> tuple[str | None, str]:
    """The route's name, None for no route, and the run that it names."""
    for pattern, name in routes.items():
        if match := pattern.fullmatch(path):
            return name, match.groupdict().get("run", "")
    return None, ""


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    if _NUMBER.fullmatch(text) is None:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"{name} must be a number")
    return int(text)


def _data(feed: Feed, query: Mapping[str, str]) -> Answer:
    if "seq" in query:
        return Answer(HTTPStatus.OK, feed.moment(_number(query, "seq")))
    whole = _number(query, "whole") if "whole" in query else None
    news = feed.data(_number(query, "have") if "have" in query else 0, whole)
    return Answer(HTTPStatus.NO_CONTENT) if news is None else Answer(HTTPStatus.OK, news)


def _found(body: bytes | None) -> Answer:
    if body is None:
        raise Refusal(HTTPStatus.NOT_FOUND, "there is no candidate of that number")
    return Answer(HTTPStatus.OK, body)


def _asked(feed: Feed, body: bytes) -> Answer:
    try:
        request = REQUEST.validate_json(body)
    except ValidationError as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"not a request: {error.errors()[0]['msg']}") from error
    note = feed.check(request)
    status = submit(feed.paths, request, origin="page", wait_s=0.0)
    return Answer(HTTPStatus.ACCEPTED, status.model_copy(update={"note": note}).model_dump_json().encode())
