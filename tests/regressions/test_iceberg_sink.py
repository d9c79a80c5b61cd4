"""What went wrong in the Kafka Connect sinks of Iceberg."""

from __future__ import annotations

from contextlib import suppress
from itertools import product

import pytest

from lake_platform.errors import (
    CommitRaceError,
    LakeError,
    StorageUnavailableError,
    TopicRecreatedError,
)
from tests.regressions.shared import Before, log
from tests.support import Fault, Lab, Trap, faulty_ports


def test_a_zombie_set_the_group_offset_back_and_retention_did_the_rest(lab: Lab) -> None:
    """The last writer of the group offset won, were it a zombie; records in between were lost.
    apache/iceberg#17551"""
    lab.register()
    lab.send_all({"n": n} for n in range(10))

    def others() -> None:
        for n in range(10, 30):
            lab.send({"n": n})
            lab.dump()
        lab.kafka.expire("topic.t", 0, 30)

    with pytest.raises(CommitRaceError):
        lab.dump(store=Before(lab.store, "put_new", others))
    lab.kafka.report_offsets("lake-t", "topic.t", {0: 3})  # as the zombie would have
    lab.send({"n": 30})
    lab.cycle()
    assert log(lab)[-1].ranges[0].start == 30
    lab.account()


@pytest.mark.parametrize("call", ["record_batch", "update_progress"])
def test_what_was_committed_was_committed_again_after_a_restart(lab: Lab, call: str) -> None:
    """The watermark fell back on re-reading; the same data files stood in the table twice.
    apache/iceberg#17340"""
    lab.register()
    lab.send_all({"n": n} for n in range(50))
    lab.dump()
    with pytest.raises(Fault):
        lab.load(**faulty_ports(lab, Trap(1, frozenset([call]))))
    lab.workers.crash()
    for _ in range(2):
        lab.load()
    assert len(lab.rows()) == 50
    lab.account()


def test_a_re_created_cluster_made_the_sink_drop_all_in_silence(lab: Lab) -> None:
    """New offsets were below the stored ones, so each record counted as seen already.
    apache/iceberg#16360"""
    lab.register()
    lab.send_all({"n": n} for n in range(10))
    lab.cycle()
    lab.kafka.delete_topic("topic.t")
    lab.kafka.create_topic("topic.t")
    lab.kafka.produce("topic.t", None, b'{"n":1}')
    with pytest.raises(TopicRecreatedError):
        lab.dump()
    lab.account()


def test_a_failing_catalog_lost_the_records_of_that_commit(lab: Lab) -> None:
    """Messages were dropped while the catalog threw errors. apache/iceberg#13752"""
    lab.register()
    calls = ("add_schema_version", "put_new", "write", "record_batch", "update_progress", "put")
    for n, (call, when) in enumerate(product(calls, ("before", "after"))):
        lab.send({"n": n})
        lab.dump()
        trap = Trap(1, frozenset([call]), when, StorageUnavailableError("slow down"))
        with suppress(LakeError):
            lab.load(**faulty_ports(lab, trap))
        lab.workers.crash()
        assert trap.where or call == "add_schema_version"
    lab.cycle()
    lab.account()


def test_one_bad_message_stopped_the_connector(lab: Lab) -> None:
    """It could neither be read nor passed, nor kept. databricks/iceberg-kafka-connect#183"""
    lab.register(max_quarantine_ratio=1.0)
    lab.send({"n": 1})
    bad = lab.send(b"\x00\x01 no JSON \xff", reason="not valid UTF-8")
    lab.send({"n": 2})
    lab.cycle()
    (held,) = lab.quarantined()
    assert held["record"]["offset"] == bad.offset
    lab.account()
