"""What went wrong in Hudi's streamer and with more than one writer of a Hudi table."""

from __future__ import annotations

import pytest

from lake_platform.domain.offsets import Gap
from lake_platform.dump.dump import missing_ranges
from lake_platform.errors import CommitRaceError, OffsetsMissingError
from tests.regressions.shared import Before, log
from tests.support import Lab


def test_a_checkpoint_out_of_range_was_reset_without_a_word(lab: Lab) -> None:
    """It went on at the earliest offset; nobody was told of the hole. apache/hudi#5400"""
    lab.register()
    lab.send_all({"n": n} for n in range(10))
    lab.cycle()
    lab.send_all({"n": n} for n in range(10, 20))
    lab.kafka.expire("topic.t", 0, 15)
    for _ in range(2):  # it stays stopped
        with pytest.raises(OffsetsMissingError) as caught:
            lab.dump()
        assert caught.value.ranges == {0: (10, 15)}


def test_the_way_out_of_an_expired_offset_lost_what_was_still_there(lab: Lab) -> None:
    """A checkpoint given by hand was taken as "latest". apache/hudi#5823"""
    lab.register()
    lab.send_all({"n": n} for n in range(10))
    lab.cycle()
    lab.send_all({"n": n} for n in range(10, 40))
    lab.kafka.expire("topic.t", 0, 15)
    gaps = [Gap(p, r.start, r.end, "me") for p, r in missing_ranges("t", lab.ports()).items()]
    lab.metastore.accept_gaps("t", gaps)
    lab.cycle()
    assert [r["n"] for r in lab.rows()] == [*range(10), *range(15, 40)]


def test_an_empty_first_commit_left_an_empty_checkpoint(lab: Lab) -> None:
    """The next run took the empty checkpoint for a position. apache/hudi#1377"""
    lab.register()
    assert lab.cycle() == []
    lab.send_all({"n": n} for n in range(5))
    lab.cycle()
    assert lab.cycle() == []
    lab.send({"n": 5})
    lab.cycle()
    lab.account()


def test_a_tombstone_was_a_null_pointer(lab: Lab) -> None:
    """Debezium sends one after each delete; the streamer ended there. apache/hudi#8519"""
    lab.register(mode="upsert", primary_key=("id",))
    lab.send({"id": 1, "v": "a"}, key='{"id":1}')
    lab.send({"id": 2, "v": "b"}, key='{"id":2}')
    lab.cycle()
    lab.send(None, key='{"id":1}')
    lab.send({"id": 2, "v": "c"}, key='{"id":2}')
    lab.cycle()
    assert [(r["id"], r["v"]) for r in lab.rows()] == [(2, "c")]
    lab.account()


def test_a_zombie_writer_doubled_what_its_successor_had_written(lab: Lab) -> None:
    """Its files came late, under names of their own, and were read. apache/hudi#18395"""
    lab.register()
    lab.send_all({"n": n} for n in range(30))
    lab.dump()

    def successor() -> None:
        lab.workers.crash()
        lab.load()

    with pytest.raises(CommitRaceError):
        lab.load(engine=Before(lab.engine, "write", successor))
    lab.cycle()
    assert len(lab.rows()) == 30
    lab.account()


def test_the_same_offsets_were_read_again_and_again(lab: Lab) -> None:
    """The job ran and moved nothing, and looked healthy. apache/hudi#5875"""
    lab.register(partitions=3)
    for n in range(9):
        lab.send({"n": n}, partition=n % 3)
        lab.cycle()
    starts = [(p, r.start) for c in log(lab) for p, r in c.ranges.items()]
    assert len(starts) == len(set(starts)) == 9
    assert lab.metastore.progress("t").backlog == 0
    lab.account()
