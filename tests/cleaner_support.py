"""For tests of the cleaner: a log of a dozen commits, objects with an age, others who meddle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.storage import ObjectInfo
from lake_platform.raw import log as raw_log
from tests.support import Faulty, Lab

DAY_MS = 86_400_000


class DatedStore:
    """Objects are as old as the test says; real stores stamp them with the wall clock."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.made: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    def _inner(self) -> Any:
        return self._lab.plain  # type: ignore[attr-defined]

    def put(self, key: str, data: bytes) -> None:
        self.made[key] = self._lab.now_ms
        self._inner.put(key, data)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        for info in self._inner.list(prefix, after):
            yield ObjectInfo(info.key, info.size, self.made.get(info.key, self._lab.now_ms))


def dated_lab(home: Path) -> Lab:
    lab = Lab(home)
    lab.plain = lab.store  # type: ignore[attr-defined]
    lab.store = DatedStore(lab)
    return lab


def filled(home: Path, commits: int = 12) -> Lab:
    """`commits` slices of one record each, dumped and loaded."""
    lab = dated_lab(home)
    lab.register()
    for n in range(commits):
        lab.send({"n": n})
        lab.dump()
    lab.load()
    return lab


def log(lab: Lab) -> list[RawCommit]:
    return raw_log.commits_after(lab.store, "t", 0)


class OneByOne(Faulty):
    """Deletes key by key through the trap, as the store does it."""

    def delete(self, keys: Any) -> None:
        for key in keys:
            self._trap.step("delete", "before")
            self._inner.delete([key])


class Meddling:
    """A store between whose calls others do something, once."""

    def __init__(self, inner: Any) -> None:
        self._inner, self._done = inner, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def once(self, act: Callable[[], object]) -> None:
        if not self._done:
            self._done = True
            act()

    @staticmethod
    def sleep(lab: Lab) -> None:
        lab.now_ms += 2 * DAY_MS
