"""Tables made of the raw of another dataset of the same topic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_platform.domain.bundle import Limits
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.resolutions import Asked
from lake_platform.errors import InvalidFieldError, SchemaBlockedError
from lake_platform.maintain.cleaner import compact_log
from lake_platform.metastore.service import UseCases
from lake_platform.raw import log as raw_log
from lake_platform.sight.infer import look
from tests.cleaner_support import DAY_MS
from tests.support import Lab, check_append


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    lab.register(format="parquet")
    for n in range(4):
        lab.send({"n": n})
        lab.cycle()
    yield lab
    lab.close()


def use_cases(lab: Lab) -> UseCases:
    return UseCases(
        lab.metastore, lab.kafka, look,
        raw_of=lambda table, topic_id: raw_log.held(lab.store, table, topic_id),
        has_raw_log=lambda table: raw_log.head(lab.store, table) is not None,
        expired_seq=lambda table: raw_log.expired_seq(lab.store, table),
    )  # fmt: skip


def reader(table: str = "t2", raw_from: str = "t") -> Dataset:
    return Dataset(topic="topic.t", table=table, format="parquet", raw_from=raw_from)


def register(lab: Lab, table: str = "t2", raw_from: str = "t") -> list[str]:
    done = use_cases(lab).register_dataset(reader(table, raw_from), "ann")
    return list(done.warnings)


def check(lab: Lab, table: str, first: int = 0, end: int | None = None) -> None:
    check_append(lab.rows(table), lab.sent["t"][first:end])


def expire(lab: Lab, days: int = 40) -> int:
    lab.now_ms += days * DAY_MS
    return compact_log("t", lab.ports(), keep_commits=1, raw_retention_days=1).raw_removed


def test_it_gets_what_kafka_no_longer_has_and_goes_on(lab: Lab) -> None:
    lab.kafka.expire("topic.t", 0, 3)
    assert register(lab) == []
    assert lab.metastore.progress("t2").waiting == 4
    lab.load("t2")
    check(lab, "t2")
    assert lab.metastore.get("t2").status is Status.LIVE
    lab.send({"n": 9})
    lab.dump("t")
    assert [r.applied.batch.first_seq for r in lab.load("t2")] == [5]
    check(lab, "t2")
    assert lab.metastore.progress("t").waiting == 1
    assert not list(lab.store.list("checkpoints/t2/phase1/"))


def test_it_is_live_once_the_dump_says_that_all_is_there(lab: Lab) -> None:
    lab.send({"n": 5})
    lab.send({"n": 6})
    register(lab)
    dumping = iter(lab.dump("t"))
    next(dumping)
    lab.load("t2")
    lab.dump("t")
    assert lab.metastore.get("t2").status is Status.LIVE


def test_it_has_no_dump_of_its_own(lab: Lab) -> None:
    register(lab)
    with pytest.raises(InvalidFieldError, match="lake dump t,"):
        lab.dump("t2")
    lab.send({"n": 4})
    lab.kafka.expire("topic.t", 0, 5)
    with pytest.raises(Exception, match="offsets"):
        lab.dump("t")
    seen = lab.metastore.progress("t2")
    assert seen.dump_error == lab.metastore.progress("t").dump_error != ""
    assert seen.unread_is_gone


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("none", "is not registered"),
        ("other", r"reads topic topic\.other"),
        ("t2", r"has no raw of its own.*give raw_from=t$"),
        ("gone", "lake datasets unretire gone"),
    ],
)
def test_whose_raw_cannot_be_read(lab: Lab, name: str, why: str) -> None:
    lab.register("other")
    register(lab)
    lab.metastore.register(Dataset(topic="topic.t", table="gone"), None, "ann")
    lab.metastore.retire("gone", "ann")
    with pytest.raises(InvalidFieldError, match=why):
        register(lab, "t3", name)
    assert not lab.metastore.name_taken("t3")


def test_raw_stays_until_the_slowest_has_it(lab: Lab) -> None:
    register(lab)
    assert expire(lab) == 0
    lab.load("t2")
    assert expire(lab) == 3  # the newest commit stays in the log
    lab.send({"n": 9})
    lab.dump("t")
    lab.load("t")
    check(lab, "t2", 0, 4)


def test_a_blocked_reader_holds_raw_and_nobody_else(lab: Lab) -> None:
    register(lab)
    lab.load("t2")
    use_cases(lab).change_dataset("t", {"on_conflict": "rescue", "max_rescued_ratio": 1}, 1, "ann")
    lab.send({"n": "text"})
    lab.dump("t")
    lab.load("t")
    lab.send({"n": 10})
    lab.dump("t")
    lab.load("t")
    with pytest.raises(SchemaBlockedError):
        lab.load("t2")
    assert expire(lab) == 4
    assert lab.metastore.get("t").status is Status.LIVE
    use_cases(lab).change_dataset("t2", {"on_conflict": "rescue", "max_rescued_ratio": 1}, 1, "ann")
    incident = lab.metastore.incidents("t2", "OPEN")[0]
    use_cases(lab).resolve_incident(incident.id, Asked("rescue"), "ann")
    lab.load("t2")
    assert len(lab.rows("t2")) == 6


def test_it_begins_behind_what_raw_retention_took(lab: Lab) -> None:
    assert expire(lab) == 3
    assert any("raw commits 1 to 3 of t" in w for w in register(lab))
    assert lab.metastore.progress("t2").waiting == 1
    lab.load("t2")
    check(lab, "t2", 3)
    lab.send({"n": 9})
    lab.dump("t")
    lab.load("t2")
    check(lab, "t2", 3)
    [window] = raw_log.commits_after(lab.store, "t", 0)[0].windows
    assert lab.load("t2", replay=[window])
    check(lab, "t2", 3)


def test_who_is_read_is_not_retired(lab: Lab) -> None:
    register(lab)
    with pytest.raises(InvalidFieldError, match=r"read by t2.*lake datasets retire t2"):
        use_cases(lab).retire("t", "ann")
    use_cases(lab).retire("t2", "ann")
    use_cases(lab).retire("t", "ann")
    with pytest.raises(InvalidFieldError, match=r"lake datasets unretire t$"):
        use_cases(lab).unretire("t2", "ann")
    use_cases(lab).unretire("t", "ann")
    assert use_cases(lab).unretire("t2", "ann").status is Status.BOOTSTRAPPING


def test_it_is_no_matter_of_a_change(lab: Lab) -> None:
    register(lab)
    with pytest.raises(InvalidFieldError, match="raw_from"):
        use_cases(lab).change_dataset("t2", {"raw_from": ""}, 1, "ann")


def test_a_killed_first_load_behind_expired_raw_is_ended(lab: Lab) -> None:
    expire(lab)
    register(lab)
    lab.send({"n": 9})
    lab.dump("t")
    lab.limits = Limits(slice=lab.limits.slice, batch_bytes=1)
    results = lab.load("t2")
    assert [r.applied.batch.first_seq for r in results] == [4, 5]
    check(lab, "t2", 3)


def test_a_reader_has_the_value_format_of_the_raw(lab: Lab) -> None:
    other = reader().with_changes({"value_format": "avro"})
    with pytest.raises(InvalidFieldError, match="is not that of t, whose raw is read; give json"):
        use_cases(lab).register_dataset(other, "ann")
    version = lab.metastore.get("t").version
    with pytest.raises(InvalidFieldError, match=r"value_format.*register a second table"):
        use_cases(lab).change_dataset("t", {"value_format": "avro"}, version, "ann")
