"""Both phases of one dataset at once: the table follows the raw commits while they are made."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.offsets import RawCommit
from lake_platform.dump.dump import check_own_raw, dump
from lake_platform.load.load import load
from lake_platform.load.results import LoadResult

# Behind a dump that goes on the next batch waits for this share of a full one: a batch costs a
# tenth of a second whatever is in it. Where it costs seconds it waits for a full one.
_WORTH_A_BATCH = 8


def ingest(
    table: str, ports: Ports, limits: Limits, stop: Callable[[], bool] = lambda: False
) -> Iterator[RawCommit | LoadResult]:
    """Dumps up to the end offsets of now, and meanwhile applies what is committed; yields each
    slice and each batch after it is committed. Ends when all of it is in the table.

    The dump runs in a thread of this generator and ends with it. The first error of either phase
    ends both, the dump behind the slice and the load behind the batch it is at; so does `stop`.

    Raises: as `dump` and `load`.
    """
    dataset = ports.metastore.get(table).dataset
    check_own_raw(dataset)
    engine = ports.engine(dataset.format)
    heavy = engine.heavy(dataset)
    with _Ahead(table, ports, limits, stop, heavy) as ahead:
        followed, warm = True, not heavy
        while followed or not ahead.ended:
            yield from ahead.news(wait=not followed)
            if not warm and ahead.waits:
                engine.warm(dataset)  # while the dump goes on
                warm = True
            if not (followed or ahead.worth_a_batch):
                continue
            followed = False
            for result in load(table, ports, limits, stop=lambda: not ahead.go_on):
                ahead.applied(result.applied.applied)
                followed = True
                yield from ahead.news()
                yield result
            if stop():
                break
        yield from ahead.news()


class _Ahead:
    """The dump in its thread, and the raw commits of it that no batch has taken yet."""

    def __init__(
        self, table: str, ports: Ports, limits: Limits, stop: Callable[[], bool], heavy: bool
    ) -> None:
        self._arguments = table, ports, limits
        self._stop = stop
        self._told: queue.SimpleQueue[RawCommit | None] = queue.SimpleQueue()
        self._untold: list[RawCommit] = []
        self._waiting: dict[int, int] = {}  # seq -> raw bytes
        self._enough = limits.batch_bytes // (1 if heavy else _WORTH_A_BATCH)
        self._left = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._dump, name=f"dump {table}", daemon=True)
        self._none_yet = not heavy
        self.ended = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left.set()
        self._thread.join()

    @property
    def waits(self) -> bool:
        """Whether there is anything for a batch."""
        return bool(self._waiting)

    @property
    def worth_a_batch(self) -> bool:
        """Whether the next batch is to be taken now: after the first (where batches are heavy from
        the first on) no small one, as long as more is on its way."""
        waiting = sum(self._waiting.values())
        return self.ended or (waiting > 0 and (self._none_yet or waiting >= self._enough))

    @property
    def go_on(self) -> bool:
        self._take(wait=False)
        return not self._stop() and self._error is None and self.worth_a_batch

    def applied(self, seq: int) -> None:
        self._none_yet = False
        self._waiting = {s: size for s, size in self._waiting.items() if s > seq}

    def news(self, wait: bool = False) -> Iterator[RawCommit]:
        """The slices not told yet; waits for one or for the end. Raises: what ended the dump."""
        self._take(wait)
        told, self._untold = self._untold, []
        yield from told
        if self._error is not None:
            raise self._error

    def _take(self, wait: bool) -> None:
        while not self.ended:
            try:
                commit = self._told.get(block=wait and not self._untold)
            except queue.Empty:
                return
            if commit is None:
                self.ended = True
            else:
                self._untold.append(commit)
                self._waiting[commit.seq] = commit.raw_bytes

    def _dump(self) -> None:
        try:
            for commit in dump(*self._arguments, stop=lambda: self._left.is_set() or self._stop()):
                self._told.put(commit)
        except BaseException as error:
            self._error = error
        finally:
            self._told.put(None)
