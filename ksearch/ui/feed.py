"""One run as the page's server reads it: folded once, read further as it grows, rendered when there is news.

SQLite connections and folds belong to one thread, so each feed has a thread of its own and the server's threads ask it.
"""

from __future__ import annotations

import shlex
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from ksearch.asking import RequestStatus, check, status_of
from ksearch.records.model import RunRecord
from ksearch.records.reading import StoredRun
from ksearch.report.page.data import page_data
from ksearch.report.page.details import candidate_detail
from ksearch.report.page.packing import encode_detail, encode_page
from ksearch.report.page.render import Extension, Live, render_page
from ksearch.settings import BudgetSettings
from ksearch.store.lock import writer_of
from ksearch.store.requests import Request
from ksearch.store.runs import RunPaths

MOMENTS = 32
"""Replayed moments that are kept: a slider goes back and forth over a few."""

SHOWN_REQUESTS = 20

T = TypeVar("T")


class RunStatus(BaseModel):
    """How a run stands beside what its page shows: what the page's controls need."""

    model_config = ConfigDict(frozen=True)

    run: str
    quoted: str
    """The run's name as a shell takes it."""
    seq: int
    searching: bool
    """Whether a process holds the run for writing."""
    writer: str | None
    pins: tuple[int, ...]
    bans: tuple[str, ...]
    limits: BudgetSettings
    requests: tuple[RequestStatus, ...]
    """The latest."""


class Feed:
    """Thread-safe; `close` ends its thread. Each answer stands for the run as it was when it was asked for."""

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"feed-{paths.name}")
        self._run: StoredRun | None = None
        self._replayed: StoredRun | None = None
        self._record: RunRecord | None = None
        self._newest: tuple[int, bytes] = (0, b"")
        self._moments: OrderedDict[int, bytes] = OrderedDict()

    def page(self, live: Live, extension: Extension) -> bytes:
        return self._ask(partial(self._page, live, extension))

    def data(self, have: int) -> bytes | None:
        """The run now; None when it has no event after number `have`."""
        return self._ask(partial(self._data, have))

    def moment(self, seq: int) -> bytes:
        """The run as it stood after event `seq`; the newest when there aren't so many."""
        return self._ask(partial(self._moment, seq))

    def candidate(self, number: int) -> bytes | None:
        """One kernel; None when there is none of that number."""
        return self._ask(partial(self._candidate, number))

    def status(self) -> RunStatus:
        return self._ask(self._status)

    def check(self, request: Request) -> str | None:
        """Raises BadInput for what could never be met; a note on what is odd."""
        return self._ask(lambda: check(self._opened().state(), request))

    def close(self) -> None:
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    def _ask(self, question: Callable[[], T]) -> T:
        return self._thread.submit(question).result()

    def _opened(self) -> StoredRun:
        if self._run is None:
            self._run = StoredRun.open(str(self.paths.folder))
        return self._run

    def _page(self, live: Live, extension: Extension) -> bytes:
        return render_page(page_data(self._opened()), live=live, extensions=(extension,)).encode("utf-8", "replace")

    def _data(self, have: int) -> bytes | None:
        run = self._opened()
        if run.last_seq <= have:
            return None
        if self._newest[0] != run.last_seq:
            data = page_data(run)
            self._newest = (data.run.seq, encode_page(data).encode("ascii"))
        return self._newest[1]

    def _moment(self, seq: int) -> bytes:
        seq = max(1, min(seq, self._opened().last_seq))
        if seq not in self._moments:
            if self._replayed is None:
                self._replayed = StoredRun.open(str(self.paths.folder))
            self._moments[seq] = encode_page(page_data(self._replayed, seq)).encode("ascii")
            if len(self._moments) > MOMENTS:
                self._moments.popitem(last=False)
        self._moments.move_to_end(seq)
        return self._moments[seq]

    def _candidate(self, number: int) -> bytes | None:
        run = self._opened()
        if self._record is None or self._record.seq < run.last_seq:
            self._record = run.record()
        record = self._record
        if not 0 <= number < len(record.candidates):
            return None
        return encode_detail(candidate_detail(run, record, record.candidates[number])).encode("ascii")

    def _status(self) -> RunStatus:
        run, writer = self._opened(), writer_of(self.paths.lock)
        state = run.state()
        return RunStatus(
            run=self.paths.name,
            quoted=shlex.quote(self.paths.name),
            seq=run.last_seq,
            searching=writer is not None,
            writer=None if writer is None else str(writer),
            pins=() if state.tree is None else state.tree.pins,
            bans=() if state.tree is None else tuple(sorted(state.tree.bans)),
            limits=state.settings.budget,
            requests=tuple(status_of(self.paths, row) for row in run.inbox()[-SHOWN_REQUESTS:]),
        )

    def _close(self) -> None:
        for run in (self._run, self._replayed):
            if run is not None:
                run.close()
