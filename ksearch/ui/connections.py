"""A threaded HTTP server that idle, slow and many connections can't stall.

Every connection has a thread and a deadline for its whole request, not for each byte of it. When all places are taken, a
new connection displaces the oldest that still hasn't said what it wants.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PLACES = 64
READ_SECONDS = 5.0
"""For a whole request to arrive: over loopback or a tunnel it takes milliseconds."""

ANSWER_SECONDS = 120.0
"""For a client to take its answer: a page of a large run is some ten megabytes, perhaps through a slow tunnel."""


@dataclass
class _Place:
    connection: socket.socket
    since: float
    reading: bool = True


class Server(ThreadingHTTPServer):
    """On 127.0.0.1; `port` 0 takes a free one. Raises OSError when the port is taken."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self._places: dict[int, _Place] = {}
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", port), handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._take_place(request):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def has_asked(self, connection: socket.socket) -> None:
        """The request has arrived and was admitted: from now on it is answered, however long that takes."""
        with self._guard:
            place = self._places.get(connection.fileno())
            if place is not None:
                place.reading = False
        connection.settimeout(ANSWER_SECONDS)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._places.pop(request.fileno(), None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Called by serve_forever some times a second."""
        late = time.monotonic() - READ_SECONDS
        with self._guard:
            for place in self._places.values():
                if place.reading and place.since < late:
                    _hang_up(place.connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away or was hung up on is no news; anything else is a fault of ours and goes to stderr."""
        import sys

        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def _take_place(self, connection: socket.socket) -> bool:
        connection.settimeout(READ_SECONDS)
        with self._guard:
            if len(self._places) >= PLACES and not self._displace():
                return False
            self._places[connection.fileno()] = _Place(connection, time.monotonic())
            return True

    def _displace(self) -> bool:
        waiting = [(place.since, key) for key, place in self._places.items() if place.reading]
        if not waiting:
            return False
        _hang_up(self._places.pop(min(waiting)[1]).connection)
        return True


def _hang_up(connection: socket.socket) -> None:
    """Wakes the thread that reads from it; that one closes it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
