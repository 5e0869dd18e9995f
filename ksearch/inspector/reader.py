"""Reading a run beside the screen: in a thread of its own, since a database belongs to the thread that opened it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar


class Closes(Protocol):
    def close(self) -> None: ...


S = TypeVar("S", bound=Closes)
T = TypeVar("T")


class Reader(Generic[S]):
    """Something opened over a run by the first request, and the one thread that reads it."""

    def __init__(self, opening: Callable[[], S]) -> None:
        self._opening = opening
        self._opened: S | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reader")

    async def ask(self, question: Callable[[S], T]) -> T:
        """The answer of `question`, which is given what is open in its thread. Errors come back as they were raised."""
        return await asyncio.wrap_future(self._thread.submit(self._answer, question))

    def _answer(self, question: Callable[[S], T]) -> T:
        if self._opened is None:
            self._opened = self._opening()
        return question(self._opened)

    def close(self) -> None:
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.close()
