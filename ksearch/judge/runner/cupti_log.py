"""CUPTI activity records of one process: what ran on the device, and when, by the device's own clock."""

from __future__ import annotations

from typing import Any

BUFFER_BYTES = 8 * 2**20
MAX_RECORDS = 2000
"""Most records kept of a call: more means a call of thousands of kernels, whose span is told all the same."""


class CuptiLog:
    """Raises ImportError where cupti-python is missing; its own error where the driver refuses."""

    def __init__(self) -> None:
        from cupti import cupti

        self._cupti = cupti
        self._records: list[tuple[str, int, int, int, str]] = []
        kinds = cupti.ActivityKind
        self._names = {int(kinds.CONCURRENT_KERNEL): "kernel", int(kinds.MEMCPY): "memcpy", int(kinds.MEMSET): "memset"}
        cupti.activity_register_callbacks(lambda: (BUFFER_BYTES, 0), self._collect)
        for kind in (kinds.CONCURRENT_KERNEL, kinds.MEMCPY, kinds.MEMSET):
            cupti.activity_enable(kind)

    def _collect(self, activities: list[Any]) -> None:
        for activity in activities:
            if (name := self._names.get(int(activity.kind))) is not None:
                to_host = int(activity.bytes) if name == "memcpy" and int(activity.copy_kind) == 2 else 0
                label = str(activity.name) if name == "kernel" else name
                self._records.append((name, int(activity.start), int(activity.end), to_host, label))

    def take(self) -> dict[str, Any]:
        """Everything since the last call: {'span_ns', 'count', 'to_host_bytes', 'kernels': [[name, ns], ...]}."""
        self._cupti.activity_flush_all(1)
        records, self._records = self._records, []
        if not records:
            return {"span_ns": None, "count": 0, "to_host_bytes": 0, "kernels": []}
        span = max(end for _, _, end, _, _ in records) - min(start for _, start, _, _, _ in records)
        kernels = [[label[:200], end - start] for name, start, end, _, label in records[:MAX_RECORDS] if name == "kernel"]
        return {"span_ns": span, "count": len(records), "to_host_bytes": sum(r[3] for r in records), "kernels": kernels}
