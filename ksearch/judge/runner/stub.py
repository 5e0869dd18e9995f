"""The runner's loop: load a candidate, bind staged calls, run them when told.

Messages are JSON but for `go`, whose bytes carry a nonce that the answer repeats: between the two lies nothing but the
calls, so that the judge can time them by its own clock.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, Protocol

from ksearch.judge.channel import Channel, ChannelClosed

GO = b"go"
PING = b"ping"
"""Answered like `go`, with nothing done between."""
MAX_TRACEBACK = 8000


class Calls(Protocol):
    """Staged calls on one kind of device."""

    function: Any
    returns: bool
    """The candidate returns its outputs instead of writing them."""
    converts: bool
    """The candidate is compiled and takes tvm-ffi tensors."""

    def prepare(self, message: dict[str, Any]) -> dict[str, Any]:
        """Set up the device before any candidate is loaded."""
        ...

    def map(self, descriptor: int, size: int) -> None:
        """From now on calls lie in this shared memory."""
        ...

    def bind(self, message: dict[str, Any]) -> None:
        """Make the arguments of these calls."""
        ...

    def refresh(self, message: dict[str, Any]) -> None:
        """Shared memory has new values for the bound calls: same addresses, nothing else changes."""
        ...

    def run(self) -> None: ...

    def settle(self, message: dict[str, Any]) -> dict[str, Any]:
        """After a run: bring outputs to shared memory, return raw stamps."""
        ...


def serve(channel: Channel, *, threads: int, cuda: bool) -> None:
    import torch

    torch.set_num_threads(threads)
    if cuda:
        from ksearch.judge.runner.cuda_calls import CudaCalls

        calls: Calls = CudaCalls()
    else:
        from ksearch.judge.runner.cpu_calls import CpuCalls

        calls = CpuCalls()
    with torch.no_grad():
        while _answer(channel, calls):
            pass


def _answer(channel: Channel, calls: Calls) -> bool:
    """Do what one message asks; False when the judge has gone."""
    try:
        payload, descriptors = channel.receive_raw(None)
        if payload.startswith(GO):
            calls.run()
            channel.send_bytes(payload)
        elif payload.startswith(PING):
            channel.send_bytes(payload)
        else:
            channel.send(_perform(channel.parse(payload), descriptors, calls))
    except ChannelClosed:
        return False
    except BaseException as error:  # noqa: BLE001 - whatever a candidate raises, SystemExit included, is its answer
        channel.send({"error": _tell(error)})
    return True


def _tell(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    return text[-MAX_TRACEBACK:]


def _perform(message: dict[str, Any], descriptors: list[int], calls: Calls) -> dict[str, Any]:
    match message["op"]:
        case "load":
            calls.function = load(message)
            calls.returns = not message["destination_passing"]
            calls.converts = message["artefact"] is not None
        case "map":
            calls.map(descriptors[0], message["bytes"])
        case "prepare" | "settle" | "bind" | "refresh" as step:
            return {"ok": True, **(getattr(calls, step)(message) or {})}
    return {"ok": True}


def load(message: dict[str, Any]) -> Callable[..., Any]:
    """Import the candidate; this is where its code first runs in this process."""
    if message["artefact"] is not None:
        import tvm_ffi

        return getattr(tvm_ffi.load_module(message["artefact"]), message["symbol"])  # type: ignore[no-any-return]
    import importlib
    import sys

    sys.path.insert(0, message["folder"])
    module = importlib.import_module(message["module"])
    function = getattr(module, message["symbol"])
    if not callable(function):
        raise TypeError(f"{message['symbol']} is not callable")
    return function  # type: ignore[no-any-return]
