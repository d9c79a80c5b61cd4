"""What went wrong in kafka-delta-ingest, Spark, dlt, Secor, Gobblin, Debezium and Druid."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lake_platform.domain.offsets import Slice
from lake_platform.errors import CommitRaceError
from lake_platform.maintain.cleaner import compact_log
from tests.regressions.shared import Before, log
from tests.support import HOUR_MS, NOW_MS, Fault, Lab, Trap, faulty_ports, raw_lines


def test_two_workers_had_their_own_idea_of_the_next_offset(lab: Lab) -> None:
    """After a conflict each went on from its own state. delta-io/kafka-delta-ingest#27"""
    lab.register()
    lab.send_all({"n": n} for n in range(1_500))
    whole = lab.limits

    def the_other() -> None:
        lab.limits = replace(whole, slice=Slice(1 << 30, 500))
        lab.dump()

    with pytest.raises(CommitRaceError):
        lab.dump(store=Before(lab.store, "put_new", the_other))
    lab.cycle()
    ends = [c.next_offsets[0] for c in log(lab)]
    assert ends == sorted(set(ends))
    lab.account()


def test_the_sink_log_grew_and_trimming_it_hid_files(lab: Lab) -> None:
    """It grows without bound; the cure proposed kept the last batch only. apache/spark#23840"""
    lab.register()
    for n in range(40):
        lab.send({"n": n})
        lab.dump()
    lab.load()
    compact_log("t", lab.ports(), keep_commits=3)
    assert len(list(lab.store.list("checkpoints/t/phase1/"))) == 3
    assert [line["value"]["n"] for line in raw_lines(lab.store, log(lab))] == list(range(40))
    lab.load(replay=["2026-11-01-00:00"])
    lab.account()


def test_files_of_a_failed_attempt_were_read_from_the_folder(lab: Lab) -> None:
    """Final names before the commit: a reader of the folder had them twice. apache/spark#28904"""
    lab.register()
    lab.send_all({"n": n} for n in range(20))
    with pytest.raises(Fault):
        lab.dump(**faulty_ports(lab, Trap(1, frozenset(["put_new"]))))
    assert len(list(lab.store.list("raw/topic.t/"))) == 1
    assert lab.load() == []
    lab.cycle()
    assert len(list(lab.store.list("raw/topic.t/"))) == 2
    lab.account()


def test_the_load_went_through_its_state_did_not(lab: Lab) -> None:
    """Data and state were two acts: the next run appended it all again. dlt-hub/dlt#4052"""
    lab.register()
    for n in range(12):
        lab.send({"n": n})
        lab.dump()
        trap = Trap(1, frozenset(["write"]), when="after")
        with pytest.raises(Fault):
            lab.load(**faulty_ports(lab, trap))
        lab.workers.crash()
    lab.load()
    assert [r["n"] for r in lab.rows()] == list(range(12))
    lab.account()


def test_a_second_try_cut_the_files_elsewhere(lab: Lab) -> None:
    """It died between upload and offset; names were the same only when the cut was.
    pinterest/secor#600"""
    lab.register()
    for n in range(900):
        lab.send({"n": n}, at_ms=NOW_MS - HOUR_MS + n * 8_000)
    with pytest.raises(Fault):
        lab.dump(**faulty_ports(lab, Trap(1, frozenset(["put_new"]))))
    lab.limits = replace(lab.limits, slice=Slice(1 << 30, 100))
    commits = lab.dump()
    assert len(commits) == 2
    assert len(raw_lines(lab.store, log(lab))) == 900
    lab.load()
    lab.account()


def test_records_without_a_clock_went_to_1970(lab: Lab) -> None:
    """Data stood under dt=1970-01-01 as well as under its day.
    pinterest/secor#1132"""
    lab.register()
    for at_ms in (0, -1, NOW_MS, 1_000):
        lab.send({"n": 1}, at_ms=at_ms)
    (commit,) = lab.dump()
    assert commit.misfiled == 3
    assert commit.windows == ["2026-11-01-00:00"]
    lab.load()
    lab.account()


def test_a_partition_without_news_lost_its_offset(lab: Lab) -> None:
    """The partition was skipped once, and its old position was not carried on.
    apache/gobblin#171"""
    lab.register(partitions=3)
    for partition in range(3):
        lab.send({"n": partition}, partition=partition)
    lab.cycle()
    lab.send({"n": 3}, partition=0)
    lab.cycle()
    assert log(lab)[-1].ranges.keys() == {0}
    assert log(lab)[-1].next_offsets == {0: 2, 1: 1, 2: 1}
    lab.send({"n": 4}, partition=2)
    lab.cycle()
    lab.account()


@pytest.mark.parametrize("last", ["insert", "delete"])
def test_a_delete_outranked_the_insert_that_followed_it(lab: Lab, last: str) -> None:
    """Insert, delete, insert of one key in a batch left the first row.
    memiiso/debezium-server-iceberg#661"""
    lab.register(mode="upsert", primary_key=("id",))
    lab.send({"id": 1, "text": "hello"}, key='{"id":1}')
    lab.send(None, key='{"id":1}')
    lab.send({"id": 1, "text": "hallo"}, key='{"id":1}')
    if last == "delete":
        lab.send(None, key='{"id":1}')
    lab.cycle()
    assert [r["text"] for r in lab.rows()] == (["hallo"] if last == "insert" else [])
    lab.account()


def test_offsets_of_transaction_markers_were_waited_for(lab: Lab) -> None:
    """Gaps were an error, and a marker at the end was lag for ever.
    apache/druid#5404, apache/druid#16689"""
    lab.register()
    lab.send({"n": 1})
    lab.kafka.leave_hole("topic.t", offsets=3)
    lab.send({"n": 2})
    lab.kafka.leave_hole("topic.t")
    lab.cycle()
    assert log(lab)[-1].next_offsets == {0: 6}
    assert lab.metastore.progress("t").backlog == 0
    assert lab.dump() == []
    lab.account()
