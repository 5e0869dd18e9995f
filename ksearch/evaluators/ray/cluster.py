"""A Ray cluster: joining one, what devices it has, and workers on them."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from ksearch.devices import Device
from ksearch.errors import BadInput, Unavailable
from ksearch.evaluators.line_process import GRACE_S, JudgeLost
from ksearch.judge.description import Description
from ksearch.judge.service import DESCRIBE

REACH_S = 10.0
HIRE_S = 180.0
"""Longest wait for a worker: its device may be in use by others, its node may have to start."""
STEP_S = 0.5
"""How late a close is noticed."""
HERE = "local"
"""An address: a new cluster, of this machine alone."""
OBJECT_STORE_BYTES = 128 * 2**20
"""Of a cluster that is started here: lines of JSON cross, no tensors."""


class _Connection:
    """Whether this process joined a cluster by itself, and so leaves it; the files of a cluster that it started."""

    ours = False
    files: tempfile.TemporaryDirectory[str] | None = None


def connect(address: str) -> None:
    """Join the cluster at `address`; empty: the one that this machine belongs to, else one of this machine alone. Raises Unavailable."""
    try:
        import ray
    except ImportError as error:
        raise Unavailable("--evaluator ray: ray is not installed; pip install 'ksearch-kernels[ray]'") from error
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        _reach(address)
        _join(address)
    except Exception as error:
        leave()
        reason = " ".join(str(error).split())[:300]
        raise Unavailable(f"--evaluator ray{address and f':{address}'}: {type(error).__name__}: {reason}") from error
    _Connection.ours = True


def _reach(address: str) -> None:
    """Ray itself waits for minutes at an address where nobody listens. Raises OSError."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S).close()


def _join(address: str) -> None:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address != HERE:
        with suppress(ConnectionError):
            ray.init(address=address or "auto", **quiet)
            return
        if address:
            raise ConnectionError("no cluster answers there")
    _Connection.files = tempfile.TemporaryDirectory(prefix="ksearch-ray-", ignore_cleanup_errors=True)
    quiet |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES, "_temp_dir": _Connection.files.name}
    try:
        ray.init(address=HERE, **quiet)
    except Exception:  # noqa: BLE001 - Ray gives its own daemons 30 s to start, whatever else the machine does: once more
        ray.shutdown()
        ray.init(address=HERE, **quiet)


def leave() -> None:
    """Ends a cluster that was started here; of another one, only this process's part."""
    if _Connection.ours:
        import ray

        ray.shutdown()
        _Connection.ours = False
    if _Connection.files is not None:
        _Connection.files.cleanup()
        _Connection.files = None


class Hired:
    """A worker on one device; on a cpu, on the node named, so that no two measure on one machine."""

    def __init__(self, device: str, node: str | None) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from ksearch.evaluators.ray.worker import Worker

        options: dict[str, Any] = {"num_gpus": 1, "num_cpus": 1} if device != "cpu" else {"num_cpus": 1}
        if node is not None:
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=False)
        self._actor = ray.remote(Worker).options(max_restarts=0, max_concurrency=1, **options).remote(device)

    def ask(self, line: str, limit_s: float, wait_s: float, closing: Callable[[], bool]) -> str:
        """`limit_s` is what the judge has, `wait_s` what passes here at most. Raises JudgeLost, also when closing."""
        import ray

        answer = self._actor.line.remote(line, limit_s)
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline and not closing():
            try:
                return str(ray.get(answer, timeout=STEP_S))
            except ray.exceptions.GetTimeoutError:
                continue
            except ray.exceptions.RayError as error:
                raise JudgeLost(_reason(error)) from error
        raise JudgeLost("the evaluator was closed" if closing() else f"no answer from the cluster within {wait_s:.0f} s")

    def describe(self, closing: Callable[[], bool]) -> Description:
        """Waits for the worker to exist. Raises JudgeLost."""
        answer = self.ask(DESCRIBE, GRACE_S, HIRE_S, closing)
        try:
            return Description.model_validate_json(answer)
        except ValidationError as error:
            raise JudgeLost(f"answered {answer[:200]!r}, which is no judge's description") from error

    def dismiss(self) -> None:
        import ray

        with suppress(ray.exceptions.RayError, ValueError):
            ray.kill(self._actor)


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines)[:400]}"


def nodes() -> tuple[str, ...]:
    import ray

    return tuple(sorted(node["NodeID"] for node in ray.nodes() if node["Alive"]))


def gpus() -> int:
    import ray

    return int(ray.cluster_resources().get("GPU", 0))


def device_of(address: str, wanted: str) -> Device:
    """The device that the cluster's workers have, and how many there are. Raises BadInput, or Unavailable."""
    connect(address)
    found = gpus()
    if wanted not in ("auto", "cpu", "cuda"):
        raise BadInput(f"--device {wanted}: a cluster's GPUs have no numbers; use --device cuda")
    if wanted == "cuda" and not found:
        raise BadInput("--device cuda: the cluster has no GPU; its nodes tell Ray of theirs with `ray start --num-gpus`")
    spec = "cuda:0" if wanted == "cuda" or (wanted == "auto" and found) else "cpu"
    worker = Hired(spec, None)
    try:
        device = worker.describe(lambda: False).device(spec, f"ray:{address}" if address else "ray")
    except JudgeLost as error:
        raise Unavailable(f"--evaluator ray{address and f':{address}'}: {error}") from error
    finally:
        worker.dismiss()
    return replace(device, count=found if spec != "cpu" else len(nodes()))
