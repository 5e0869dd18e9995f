"""The runner's loop: load a candidate, bind a staged call, run it when told.

Messages are JSON. Once armed, the runner waits for sixteen bytes and answers with the same sixteen when the call is done:
between the two lies nothing but the call, and after the answer it sleeps until a byte says that messages follow. So a candidate
that replaced this loop by a faster one would win next to nothing.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import Any, Literal, Protocol

from ksearch.judge.channel import Channel, ChannelClosed

ARM = "arm"
NONCE_BYTES = 16
FAILED = bytes(NONCE_BYTES)
"""Instead of the nonce: the candidate raised; ask why."""
MAX_TRACEBACK = 8000

Kind = Literal["torch", "native", "cuda"]
"""What a runner is made for: Python on a CPU, compiled code on a CPU (no torch in its process), anything on a GPU."""


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

    def prepared(self) -> Callable[[], object]:
        """The bound call, ready to be made."""
        ...

    def settle(self, message: dict[str, Any]) -> dict[str, Any]:
        """After a run: bring outputs to shared memory, return raw stamps."""
        ...


def serve(channel: Channel, *, threads: int, kind: Kind) -> None:
    calls = _calls_of(kind, threads)
    failure = ""
    while True:
        try:
            message, descriptors = channel.receive_with_descriptors(None)
            if message["op"] == ARM:
                failure = _armed(channel, calls) or failure
            elif message["op"] == "why":
                channel.send({"error": failure})
            else:
                channel.send(_answer(message, descriptors, calls))
        except ChannelClosed:
            return


def _calls_of(kind: Kind, threads: int) -> Calls:
    if kind == "native":
        from ksearch.judge.runner.native_calls import NativeCalls

        return NativeCalls()
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    if kind == "cuda":
        from ksearch.judge.runner.cuda_calls import CudaCalls

        return CudaCalls()
    from ksearch.judge.runner.cpu_calls import CpuCalls

    return CpuCalls()


def _armed(channel: Channel, calls: Calls) -> str | None:
    """Wait for the nonce, make the call, give the nonce back; what the candidate raised, if it did."""
    try:
        call = calls.prepared()
    except BaseException as error:  # noqa: BLE001 - nothing is bound: the judge hears of it when it asks
        channel.send({"error": _tell(error)})
        return None
    end, read, write = channel.socket.fileno(), os.read, os.write
    channel.send({"ok": True})
    nonce = read(end, NONCE_BYTES)
    failure = None
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - whatever a candidate raises, SystemExit included, is its answer
        nonce, failure = FAILED, error
    write(end, nonce)
    read(end, 1)  # blocked again at once: what this loop does on the way to its next message is no part of the call
    return None if failure is None else _tell(failure)


def _answer(message: dict[str, Any], descriptors: list[int], calls: Calls) -> dict[str, Any]:
    try:
        return _perform(message, descriptors, calls)
    except BaseException as error:  # noqa: BLE001 - whatever a candidate raises, SystemExit included, is its answer
        return {"error": _tell(error)}


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
