"""Reading a run beside the screen: in a thread of its own, since a database belongs to the thread that opened it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ksearch.records.reading import StoredRun

T = TypeVar("T")


class Reader:
    """One stored run and the one thread that reads it; opened by the first request."""

    def __init__(self, run: Path) -> None:
        self._path = run
        self._run: StoredRun | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reader")

    async def ask(self, question: Callable[[StoredRun], T]) -> T:
        """The answer of `question`, which is given the run in its thread. Errors come back as they were raised."""
        return await asyncio.wrap_future(self._thread.submit(self._answer, question))

    def _answer(self, question: Callable[[StoredRun], T]) -> T:
        if self._run is None:
            self._run = StoredRun.open(str(self._path))
        return question(self._run)

    def close(self) -> None:
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    def _close(self) -> None:
        if self._run is not None:
            self._run.close()
