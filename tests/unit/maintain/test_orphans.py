"""Raw objects that no commit names: which of them the cleaner removes, and when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_platform.domain.layout import staging_prefix
from lake_platform.load import claims
from lake_platform.maintain.cleaner import compact_log
from tests.cleaner_support import DAY_MS, dated_lab, filled, log
from tests.support import Fault, Faulty, Lab, Trap


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = filled(tmp_path)
    yield lab
    lab.close()


def test_orphans_go_after_a_day_and_nothing_else(lab: Lab) -> None:
    known = {o.key for c in log(lab) for o in c.objects}
    orphan = "raw/topic.t/2026/11/01/00/t-p0-0-5-dead.json.gz"
    of_another = "raw/topic.t/2026/11/01/00/t-x-p0-0-5-dead.json.gz"
    strange = "raw/topic.t/2026/11/01/00/notes.txt"
    for key in (orphan, of_another, strange):
        lab.store.put(key, b"x")
    lab.now_ms += DAY_MS - 1
    assert compact_log("t", lab.ports()).orphans_removed == 0
    lab.now_ms += 2
    assert compact_log("t", lab.ports()).orphans_removed == 1
    left = {i.key for i in lab.store.list("raw/topic.t/")}
    assert left == known | {of_another, strange}


def test_orphans_of_a_table_with_dashes_are_known(tmp_path: Path) -> None:
    lab = dated_lab(tmp_path)
    lab.register("a-b-p1")
    lab.send({"n": 1}, table="a-b-p1")
    lab.dump("a-b-p1")
    lab.store.put("raw/topic.a-b-p1/2026/11/01/00/a-b-p1-p0-0-5-dead.json.gz", b"x")
    lab.now_ms += DAY_MS + 1
    assert compact_log("a-b-p1", lab.ports()).orphans_removed == 1
    lab.close()


def test_an_orphan_the_log_has_not_passed_stays(lab: Lab) -> None:
    """Its writer may only sleep, and commit it when it wakes up."""
    ahead = "raw/topic.t/2026/11/01/00/t-p0-12-15-asleep.json.gz"
    lab.store.put(ahead, b"x")
    lab.now_ms += 2 * DAY_MS
    assert compact_log("t", lab.ports()).orphans_removed == 0
    lab.send({"n": 12})
    lab.cycle()
    assert compact_log("t", lab.ports()).orphans_removed == 1
    lab.account()


HOUR = "raw/topic.t/2026/11/01/00/"


@pytest.mark.parametrize(
    ("name", "goes"),
    [
        ("t-p0-11-11-dead.json.gz", True),
        ("t-p0-12-12-asleep.json.gz", False),
        ("t-p1-0-0-asleep.json.gz", False),  # nothing of that partition was committed
        ("t-px-0-5-dead.json.gz", False),
        ("t-p0-x-5-dead.json.gz", False),
        ("t-0-5-dead.json.gz", False),
        ("t", False),
    ],
)
def test_only_objects_with_our_names_that_the_log_has_passed_go(
    lab: Lab, name: str, goes: bool
) -> None:
    lab.store.put(HOUR + name, b"x")
    lab.now_ms += DAY_MS + 1
    assert compact_log("t", lab.ports()).orphans_removed == goes
    assert (lab.store.head(HOUR + name) is None) == goes


def test_each_partition_is_passed_by_itself(tmp_path: Path) -> None:
    lab = dated_lab(tmp_path)
    lab.register(partitions=3)
    for n in range(4):
        lab.send({"n": n}, partition=2)
    lab.send({"n": 9}, partition=0)
    lab.cycle()
    dead, asleep = HOUR + "t-p2-3-9-dead.json.gz", HOUR + "t-p0-3-9-asleep.json.gz"
    lab.store.put(dead, b"x")
    lab.store.put(asleep, b"x")
    lab.now_ms += DAY_MS + 1
    assert compact_log("t", lab.ports()).orphans_removed == 1
    assert (lab.store.head(dead), lab.store.head(asleep) is None) == (None, False)
    lab.close()


def test_an_orphan_is_a_day_old_after_its_day(lab: Lab) -> None:
    lab.store.put(HOUR + "t-p0-0-5-dead.json.gz", b"x")
    lab.now_ms += DAY_MS
    assert compact_log("t", lab.ports()).orphans_removed == 0


def test_before_the_first_commit_nothing_is_an_orphan(tmp_path: Path) -> None:
    lab = dated_lab(tmp_path)
    lab.register()
    lab.store.put(HOUR + "t-p0-0-5-asleep.json.gz", b"x")
    lab.now_ms += 2 * DAY_MS
    assert compact_log("t", lab.ports()).orphans_removed == 0
    lab.close()


class TestStaging:
    """Staged files go after a day, once a later claim than that of their writer committed."""

    def staged(self, lab: Lab, nonce: str) -> str:
        key = f"{staging_prefix('t', '1-1', nonce)}part-0.parquet"
        lab.store.put(key, b"x")
        return key

    def claim(self, lab: Lab) -> str:
        """The nonce of a claim whose writer died in its write."""
        lab.send({"n": 1})
        lab.dump()
        with pytest.raises(Fault):
            lab.load(engine=Faulty(Trap(1, frozenset(["write"])), lab.engine))
        lab.workers.crash()
        return claims.uncommitted(lab.store, "t", 0)[-1].nonce

    def clean(self, lab: Lab, *staged: str) -> list[bool]:
        """Which of `staged` are there after the cleaner."""
        compact_log("t", lab.ports())
        return [lab.store.head(key) is not None for key in staged]

    def test_of_a_claim_that_may_still_commit_stays(self, lab: Lab) -> None:
        key = self.staged(lab, self.claim(lab))
        lab.now_ms += 9 * DAY_MS
        assert self.clean(lab, key) == [True]
        lab.load()
        assert self.clean(lab, key) == [False]

    def test_goes_after_its_day(self, lab: Lab) -> None:
        key = self.staged(lab, "dead")
        lab.now_ms += DAY_MS
        assert self.clean(lab, key) == [True]
        lab.now_ms += 1
        assert self.clean(lab, key) == [False]

    def test_of_others_is_not_touched(self, lab: Lab) -> None:
        other = f"{staging_prefix('t2', '1-1', 'dead')}part-0.parquet"
        lab.store.put(other, b"x")
        mine, needed = self.staged(lab, "dead"), self.staged(lab, self.claim(lab))
        lab.now_ms += DAY_MS + 1
        assert self.clean(lab, other, mine, needed) == [True, False, True]

    def test_before_the_first_batch_the_first_claim_is_needed(self, tmp_path: Path) -> None:
        lab = dated_lab(tmp_path)
        lab.register()
        key = self.staged(lab, self.claim(lab))
        lab.now_ms += DAY_MS + 1
        assert self.clean(lab, key) == [True]
        lab.close()
