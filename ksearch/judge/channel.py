"""Length-prefixed messages, with descriptors, over a UNIX socket pair. Both sides of the wall use it.

What comes from a runner is a claim: sizes are bounded, nothing is unpickled, and every wait has an end.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

MAX_MESSAGE = 4 * 1024 * 1024
LENGTH = struct.Struct("<I")


class ChannelClosed(Exception):
    """The other side is gone or spoke nonsense."""


class ChannelTimeout(Exception):
    """No whole message came in time."""


class Channel:
    """One end. Not for use from several threads at once."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end

    @staticmethod
    def pair() -> tuple[Channel, socket.socket]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return Channel(ours), theirs

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        self.send_bytes(json.dumps(message).encode(), descriptors)

    def send_bytes(self, payload: bytes, descriptors: Sequence[int] = ()) -> None:
        try:
            data = LENGTH.pack(len(payload)) + payload
            sent = socket.send_fds(self.socket, [data], list(descriptors)) if descriptors else 0
            self.socket.sendall(data[sent:])
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def receive(self, timeout_s: float | None = None) -> dict[str, Any]:
        message, descriptors = self.receive_with_descriptors(timeout_s)
        for descriptor in descriptors:  # none was asked for
            os.close(descriptor)
        return message

    def receive_with_descriptors(self, timeout_s: float | None = None) -> tuple[dict[str, Any], list[int]]:
        payload, descriptors = self.receive_raw(timeout_s)
        return self.parse(payload), descriptors

    @staticmethod
    def parse(payload: bytes) -> dict[str, Any]:
        try:
            message = json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise ChannelClosed("a message that is not JSON") from error
        if not isinstance(message, dict):
            raise ChannelClosed("a message that is not a JSON object")
        return message

    def receive_raw(self, timeout_s: float | None) -> tuple[bytes, list[int]]:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        descriptors: list[int] = []
        header = self._exactly(LENGTH.size, deadline, descriptors)
        (length,) = LENGTH.unpack(header)
        if length > MAX_MESSAGE:
            raise ChannelClosed(f"a message of {length} bytes")
        return self._exactly(length, deadline, descriptors), descriptors

    def _exactly(self, count: int, deadline: float | None, descriptors: list[int]) -> bytes:
        parts = b""
        while len(parts) < count:
            if deadline is not None and not self.readable(max(0.0, deadline - time.monotonic())):
                raise ChannelTimeout
            try:
                data, passed, _, _ = socket.recv_fds(self.socket, count - len(parts), 4)
            except OSError as error:
                raise ChannelClosed(str(error)) from error
            descriptors += passed
            if not data:
                raise ChannelClosed("end of stream")
            parts += data
        return parts

    def write(self, raw: bytes) -> None:
        """Bytes without a length, for a side that knows how many it waits for."""
        try:
            self.socket.sendall(raw)
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def read(self, count: int, timeout_s: float) -> bytes:
        descriptors: list[int] = []
        raw = self._exactly(count, time.monotonic() + timeout_s, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        return raw

    def readable(self, timeout_s: float) -> bool:
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(max(0, timeout_s) * 1000))

    def close(self) -> None:
        self.socket.close()
