"""One run as the page's server reads it: folded once, read further as it grows, rendered when there is news.

SQLite connections and folds belong to one thread, so each feed has a thread of its own and the server's threads ask it.
"""

from __future__ import annotations

import shlex
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from ksearch.asking import RequestStatus, check, status_of
from ksearch.records.model import RunRecord
from ksearch.records.reading import StoredRun
from ksearch.report.page.data import page_change, page_data
from ksearch.report.page.details import candidate_detail
from ksearch.report.page.model import PageData
from ksearch.report.page.packing import encode_detail
from ksearch.report.page.render import Extension, Live, render_page
from ksearch.settings import BudgetSettings
from ksearch.store.journal import no_collections
from ksearch.store.lock import writer_of
from ksearch.store.requests import Request
from ksearch.store.runs import RunPaths, default_runs_dir

MOMENTS_BYTES = 64 * 1024 * 1024
"""Replayed moments that are kept: a slider goes back and forth over a few."""

REST = 1.0
"""Time without building the whole data after each time they were built, over the processor time that took: following a run may
take half a core and no more, since the search may be timing kernels on the same machine."""

LARGE_S = 0.3
"""Processor time for the whole data above which a page is sent what changed, and the whole only now and then."""

LARGE_REST = 20.0
"""REST for such a run."""

QUIET_S = 3.0
"""The whole of a large run is built when nothing has come for so long, since what comes meanwhile waits for it; at the latest
after QUIET_REST times what it takes."""

QUIET_REST = 100.0

SHOWN_REQUESTS = 20

T = TypeVar("T")


class RunStatus(BaseModel):
    """How a run stands beside what its page shows: what the page's controls need."""

    model_config = ConfigDict(frozen=True)

    run: str
    quoted: str
    """How a command on this machine names the run: by its name, or its folder outside the usual place; as a shell takes it."""
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
        self._whole: tuple[int, bytes] = (0, b"")
        self._built_at = self._took = 0.0
        self._grew: tuple[int, float] = (0, 0.0)
        self._moments: OrderedDict[int, bytes] = OrderedDict()

    def page(self, live: Live, extension: Extension) -> bytes:
        return self._ask(partial(self._page, live, extension))

    def data(self, have: int, whole: int | None = None) -> bytes | None:
        """The run now, or not long ago; None when nothing newer than event `have` can be told yet.

        A page that also says as of which event it had the `whole` may be sent what changed since `have` (`PageChange`).
        """
        return self._ask(partial(self._data, have, whole))

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
        return render_page(self._build(), live=live, extensions=(extension,)).encode("utf-8", "replace")

    def _build(self) -> PageData:
        began, self._built_at = time.thread_time(), time.monotonic()
        data, self._whole = _encoded(self._opened(), None)
        self._took = time.thread_time() - began
        return data

    def _data(self, have: int, whole: int | None) -> bytes | None:
        last = self._opened().last_seq
        if self._whole[0] < last and self._may_build(last):
            self._build()
        if self._whole[0] > (have if whole is None else whole) and self._whole[0] >= have:
            return self._whole[1]
        if whole is None or self._took < LARGE_S or last <= have:
            return None
        change = _changed(self._opened(), have)
        if change is None:
            self._build()
        return self._whole[1] if change is None else change

    def _may_build(self, last: int) -> bool:
        """Whether the whole may be built again by now."""
        now = time.monotonic()
        if self._grew[0] != last:
            self._grew = (last, now)
        rested = now - self._built_at
        if self._took < LARGE_S:
            return rested >= REST * self._took
        quiet = now - self._grew[1] >= QUIET_S
        return rested >= (LARGE_REST if quiet else QUIET_REST) * self._took

    def _moment(self, seq: int) -> bytes:
        seq = max(1, min(seq, self._opened().last_seq))
        if seq not in self._moments:
            if self._replayed is None:
                self._replayed = StoredRun.open(str(self.paths.folder))
            self._moments[seq] = _encoded(self._replayed, seq)[1][1]
            while len(self._moments) > 1 and sum(map(len, self._moments.values())) > MOMENTS_BYTES:
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
            quoted=shlex.quote(_reference(self.paths)),
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


def _reference(paths: RunPaths) -> str:
    usual = default_runs_dir().resolve() == paths.folder.parent.resolve()
    return paths.name if usual else str(paths.folder.resolve())


def _encoded(run: StoredRun, upto: int | None) -> tuple[PageData, tuple[int, bytes]]:
    """With its event number and body. Plain JSON, which the page takes as well as its packed form: a tenth of the time to write."""
    with no_collections():
        data = page_data(run, upto)
        return data, (data.run.seq, data.model_dump_json().encode("utf-8", "replace"))


def _changed(run: StoredRun, have: int) -> bytes | None:
    with no_collections():
        change = page_change(run, have)
        return None if change is None else change.model_dump_json().encode("utf-8", "replace")
