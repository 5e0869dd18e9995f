"""Who may ask what: checked for every request before anything else is looked at.

The server listens on the loopback interface only, which every process and every web page on the machine can reach. So
nothing is ever granted by being asked from here: there is no cookie and no other credential that a browser would add by
itself. The token travels in the address that the user was given and in the requests of the page that came with it.

- Host must name the loopback interface: a page of another site whose name was made to point here (DNS rebinding) sends
  that name. The port isn't compared, so that an ssh tunnel may use another one.
- Origin, when a browser sends it, must be this server's own, and Sec-Fetch-Site must not say that another site asks. One
  exception: the user's own navigation to the page (a link in a terminal or a mail), which carries the token and can't be
  read by whoever started it.
- A request that changes something must carry the token in a header, which no form and no link can.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

TOKEN_HEADER = "X-Ksearch-Token"  # noqa: S105 - a name, not a secret
_HOST = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    """What of a request decides on its admission. `headers` by lower-case name, each with all its values."""

    peer: str
    method: str
    headers: Mapping[str, Sequence[str]]
    query_token: str | None
    is_page: bool
    """Whether it asks for a page to look at, which a browser may be sent to from anywhere."""

    def header(self, name: str) -> str | None:
        values = self.headers.get(name.lower(), ())
        return values[0] if len(values) == 1 else None


@dataclass(frozen=True)
class Denied:
    status: HTTPStatus
    reason: str


def new_token() -> str:
    """256 random bits, safe in an address."""
    return secrets.token_urlsafe(32)


def denial(asked: Asked, token: str) -> Denied | None:
    """Why the request is refused; None when it is admitted."""
    return _wrong_place(asked) or _wrong_origin(asked) or _wrong_token(asked, token)


def _wrong_place(asked: Asked) -> Denied | None:
    if not ipaddress.ip_address(asked.peer).is_loopback:
        return Denied(HTTPStatus.FORBIDDEN, "this server answers its own machine only")
    host = asked.header("host")
    if host is None or _HOST.fullmatch(host) is None:
        return Denied(HTTPStatus.MISDIRECTED_REQUEST, "this server is called 127.0.0.1 or localhost")
    return None


def _wrong_origin(asked: Asked) -> Denied | None:
    if "origin" in asked.headers and asked.header("origin") != f"http://{asked.header('host')}":
        return Denied(HTTPStatus.FORBIDDEN, "asked by a page of another origin")
    site = asked.header("sec-fetch-site")
    if "sec-fetch-site" not in asked.headers or site in ("same-origin", "none"):
        return None
    if asked.is_page and asked.method == "GET" and asked.header("sec-fetch-dest") == "document":
        return None
    return Denied(HTTPStatus.FORBIDDEN, "asked by another site")


def _wrong_token(asked: Asked, token: str) -> Denied | None:
    given = asked.header(TOKEN_HEADER)
    if asked.method == "GET" and given is None:
        given = asked.query_token
    if given is None or not secrets.compare_digest(given.encode("utf-8", "replace"), token.encode()):
        return Denied(HTTPStatus.FORBIDDEN, "without its token; open the address that `ksearch ui` printed")
    return None
