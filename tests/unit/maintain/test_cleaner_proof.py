"""The cleaner over a long life: ten commits a clean, many cleans killed.

After every clean: the log reads as it was written, for readers that began before, in the middle of
and after it; it is short; dead objects are gone and no referenced one is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from lake_platform.domain.offsets import RawCommit
from lake_platform.errors import CorruptRawError
from lake_platform.maintain.cleaner import compact_log
from lake_platform.raw import log as raw_log
from tests.cleaner_support import DatedStore, OneByOne
from tests.support import HOUR_MS, STORE_CALLS, Fault, Lab, Trap, faulty_ports

pytestmark = pytest.mark.slow

KEEP = 20
CLEANS = int(os.environ.get("LAKE_TEST_CLEANS", "12"))  # `make chaos-input`: 100
_PER_CLEAN = 10
COMMITS = CLEANS * _PER_CLEAN
_MODULUS = 1 << 64


@dataclass
class Life:
    """A dataset over a long time. `truth` is what its dumps said they committed."""

    lab: Lab
    chance: Random
    truth: list[RawCommit] = field(default_factory=list)
    orphans: dict[str, int] = field(default_factory=dict)
    kills: int = 0
    reads: int = 0
    sent: int = 0

    def grow(self, commits: int) -> None:
        """Some commits, and a dump that dies between its upload and its commit."""
        for _ in range(commits):
            self.send(2)
            self.truth += self.lab.dump()
            self.lab.now_ms += HOUR_MS // 4
        self.send(1)
        before = self.raw_objects()
        trap = Trap(1, frozenset(["put_new"]))
        with pytest.raises(Fault):
            self.lab.dump(**faulty_ports(self.lab, trap))
        self.orphans |= dict.fromkeys(self.raw_objects() - before, self.lab.now_ms)
        self.truth += self.lab.dump()
        self.lab.load()

    def send(self, records: int) -> None:
        for _ in range(records):
            self.lab.send({"n": self.sent}, partition=self.sent % 2)
            self.sent += 1

    def clean(self) -> None:
        """With readers at work, and half the time killed at a step nobody chose."""
        early = raw_log.iter_commits_after(self.lab.store, "t", 0)
        begun = [next(early) for _ in range(self.chance.randrange(min(5, len(self.truth))))]
        store = ReadMeanwhile(self._trap(), self.lab.store, self, self.chance.randrange(1, 30))
        with suppress(Fault):
            compact_log("t", self.lab.ports(store=store), keep_commits=KEEP)
        self.kills += bool(store._trap.where)
        assert begun + list(early) == self.truth
        self.read()

    def _trap(self) -> Trap:
        if self.chance.random() < 0.4:
            return Trap(0)
        when = self.chance.choice(("before", "after"))
        return Trap(self.chance.randrange(1, 40), STORE_CALLS, when)

    def read(self) -> None:
        self.reads += 1
        log = raw_log.commits_after(self.lab.store, "t", 0)
        assert log == self.truth
        assert digest(log) == digest(self.truth)
        seq = self.chance.randrange(len(self.truth))
        assert raw_log.commits_after(self.lab.store, "t", seq) == self.truth[seq:]
        assert raw_log.head(self.lab.store, "t") == self.truth[-1]

    def raw_objects(self) -> set[str]:
        return {i.key for i in self.lab.store.list("raw/topic.t/")}

    def check_storage(self) -> None:
        """After a clean that went through."""
        referenced = {o.key for c in self.truth for o in c.objects}
        held = self.raw_objects()
        assert referenced <= held, "a referenced object is gone"
        young = {k for k, at in self.orphans.items() if at >= self.lab.now_ms - 24 * HOUR_MS}
        assert held - referenced == young & held
        assert files(self.lab, "checkpoints/t/phase1/") <= KEEP
        assert files(self.lab, "checkpoints/t/phase1-snapshots/") == (len(self.truth) > KEEP)
        # Claims of writers that ended go once they are a day old.
        assert files(self.lab, "checkpoints/t/phase2/claims/") <= 60


class ReadMeanwhile(OneByOne):
    """A store that lets a reader read the whole log in the middle of a clean."""

    def __init__(self, trap: Trap, inner: Any, life: Life, at: int) -> None:
        super().__init__(trap, inner)
        self._life, self._left = life, at

    def __getattr__(self, name: str) -> Any:
        self._look()
        return super().__getattr__(name)

    def delete(self, keys: Any) -> None:
        for key in keys:
            self._look()
            super().delete([key])

    def _look(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._life.read()


def digest(log: list[RawCommit]) -> tuple[int, int, int]:
    objects = [o for c in log for o in c.objects]
    return (
        len(objects),
        sum(o.records for o in objects),
        sum(o.offset_sum for o in objects) % _MODULUS,
    )


def files(lab: Lab, prefix: str) -> int:
    return len(list(lab.store.list(prefix)))


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    lab = Lab(tmp_path)
    lab.plain = lab.store  # type: ignore[attr-defined]
    lab.store = DatedStore(lab)
    lab.register(partitions=2)
    yield Life(lab, Random(20_261_124))  # noqa: S311 - the same every time
    lab.close()


def test_many_commits_and_cleans_with_kills(life: Life) -> None:
    for _ in range(CLEANS):
        life.grow(_PER_CLEAN - 1)
        life.clean()
        compact_log("t", life.lab.ports(), keep_commits=KEEP)
        life.read()
        life.check_storage()
    assert len(life.truth) >= COMMITS
    assert life.kills > CLEANS // 5
    assert life.reads > 2 * CLEANS
    assert len(life.orphans) >= CLEANS
    life.lab.account()
    life.lab.load(replay=sorted({w for c in life.truth for w in c.windows}))
    life.lab.account()


def test_a_commit_that_is_really_gone_is_named_by_a_reader_that_had_begun(life: Life) -> None:
    life.grow(5)
    early = raw_log.iter_commits_after(life.lab.store, "t", 0)
    assert next(early) == life.truth[0]
    life.lab.store.delete([raw_log.commit_key("t", 3)])
    assert next(early) == life.truth[1]
    with pytest.raises(CorruptRawError, match="not in the log"):
        next(early)
