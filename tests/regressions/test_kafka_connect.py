"""What went wrong in Kafka Connect's S3 and HDFS sinks."""

from __future__ import annotations

import pytest

from lake_platform.domain.offsets import Gap
from lake_platform.dump.dump import missing_ranges
from lake_platform.errors import CommitRaceError, OffsetsMissingError
from tests.regressions.shared import Before, log
from tests.support import HOUR_MS, NOW_MS, Lab


def test_two_tasks_wrote_the_same_object_in_a_rebalance(lab: Lab) -> None:
    """A slow task put offsets 0-20 over an object that held 0-30; 21-30 were committed and gone.
    confluentinc/kafka-connect-storage-cloud#253"""
    lab.register()
    lab.send_all({"n": n} for n in range(20))

    def the_other() -> None:
        lab.send_all({"n": n} for n in range(20, 30))
        lab.dump()

    with pytest.raises(CommitRaceError):
        lab.dump(store=Before(lab.store, "put_new", the_other))
    assert [c.next_offsets for c in log(lab)] == [{0: 30}]
    lab.cycle()
    lab.account()


def test_a_tombstone_killed_the_task_and_every_restart(lab: Lab) -> None:
    """A null value met a writer with a schema; the task died again at the same record.
    confluentinc/kafka-connect-storage-cloud#42"""
    lab.register()
    lab.send({"n": 1})
    lab.send(None, key="1")
    lab.send({"n": 2})
    (done,) = lab.cycle()
    assert (done.applied.balance.dropped, done.applied.balance.difference) == (1, 0)
    lab.account()


def test_a_backlog_of_many_hours_ran_out_of_memory(lab: Lab) -> None:
    """The heap ran out under a time-based partitioner.
    confluentinc/kafka-connect-storage-cloud#177"""
    lab.register()
    for n in range(5_000):
        lab.send({"n": n}, at_ms=NOW_MS - n * HOUR_MS)
    lab.limits = type(lab.limits)()  # the shipped ones: a million records would fit one slice
    commits = lab.dump()
    assert len(commits) >= 2
    assert max(len(c.objects) for c in commits) <= 2_500
    lab.load()
    lab.account()


def test_late_records_at_the_hour_edge_made_an_object_each(lab: Lab) -> None:
    """Each change of the hour rolled the file: objects of one record.
    confluentinc/kafka-connect-storage-cloud#529"""
    lab.register()
    for n in range(400):
        lab.send({"n": n}, at_ms=NOW_MS - (n % 2) * HOUR_MS)
    (commit,) = lab.dump()
    assert [o.records for o in commit.objects] == [200, 200]
    lab.load()
    lab.account()


def test_after_retention_took_unread_records_nothing_was_written_any_more(lab: Lab) -> None:
    """Every later record was "stale, out of order", until somebody wiped topic and logs.
    confluentinc/kafka-connect-hdfs#158"""
    lab.register()
    lab.send_all({"n": n} for n in range(10))
    lab.dump()
    lab.send_all({"n": n} for n in range(10, 30))
    lab.kafka.expire("topic.t", 0, 25)
    with pytest.raises(OffsetsMissingError):
        lab.dump()
    gaps = [Gap(p, r.start, r.end, "me") for p, r in missing_ranges("t", lab.ports()).items()]
    lab.metastore.accept_gaps("t", gaps)
    assert gaps == [Gap(0, 10, 25, "me")]
    lab.cycle()
    lab.sent["t"] = [r for r in lab.sent["t"] if not 10 <= r.offset < 25]
    lab.account()
