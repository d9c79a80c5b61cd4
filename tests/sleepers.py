"""Engines of writers that stand still before their write, and of those who overtake them."""

from __future__ import annotations

from typing import Any

from lake_platform.domain.batches import BatchJob, WriteResult
from lake_platform.domain.ports import TableEngine
from tests.support import Fault, Lab


class Holding:
    """Stands still before its write; `held` is what it would have written."""

    def __init__(self, inner: TableEngine) -> None:
        self._inner = inner
        self.held: list[BatchJob] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, job: BatchJob) -> WriteResult:
        self.held.append(job)
        raise Fault("stands still")


class Overtaken:
    """Its first write comes right after that of the sleeper, which had passed the fence before."""

    def __init__(self, inner: TableEngine, lab: Lab, sleeper: Holding) -> None:
        self._inner, self._lab, self._sleeper = inner, lab, sleeper

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, job: BatchJob) -> WriteResult:
        store = self._lab.store
        store.delete([i.key for i in store.list("checkpoints/t/phase2/locks/")])
        if self._sleeper.held:
            self._lab.engine.write(self._sleeper.held.pop())
        return self._inner.write(job)
