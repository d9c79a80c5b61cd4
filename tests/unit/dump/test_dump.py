"""Phase 1: what a dump commits, and what it refuses to skip."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform.adapters.memory.systems import MemoryKafka, MemoryReader
from lake_platform.domain.dataset import Status
from lake_platform.domain.offsets import Gap, OffsetRange, RawCommit, Slice, TopicInfo
from lake_platform.domain.windows import HOUR_MS
from lake_platform.dump.dump import dump, missing_ranges
from lake_platform.errors import (
    CommitRaceError,
    KafkaUnavailableError,
    NotRunnableError,
    OffsetsMissingError,
    OffsetsWentBackError,
    StorageUnavailableError,
    TopicRecreatedError,
)
from lake_platform.raw import log as raw_log
from tests.support import Fault, Faulty, Lab, Trap, check_raw, faulty_ports, raw_lines

TOPIC = "topic.t"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def check(lab: Lab) -> None:
    check_raw(lab.store, "t", lab.sent["t"])


def log(lab: Lab) -> list[RawCommit]:
    return raw_log.commits_after(lab.store, "t", 0)


def test_slices_are_bounded_and_totals_are_cumulative(lab: Lab) -> None:
    lab.register(partitions=3)
    for n in range(2_500):
        lab.send({"n": n}, partition=n % 3)
    commits = lab.dump()
    assert len(commits) >= 2
    assert all(c.records <= 1_500 for c in commits)  # one poll of the memory Kafka past the bound
    assert [c.seq for c in commits] == list(range(1, len(commits) + 1))
    assert commits[-1].total_records == 2_500
    assert commits[-1].total_bytes == sum(c.raw_bytes for c in commits)
    assert [c.complete_as_of is not None for c in commits] == [False] * (len(commits) - 1) + [True]
    check(lab)
    progress = lab.metastore.progress("t")
    assert (progress.head_seq, progress.backlog) == (commits[-1].seq, 0)
    assert progress.records_ingested == 2_500
    assert lab.kafka.reported["lake-t", TOPIC] == {0: 834, 1: 833, 2: 833}


def test_byte_bound_and_rolled_objects(lab: Lab) -> None:
    lab.register()
    lab.limits = replace(lab.limits, slice=Slice(1 << 30, 1 << 30, roll_bytes=10_000))
    for n in range(1_200):
        lab.send({"n": n, "text": "x" * 30})
    (commit,) = lab.dump()
    assert len(commit.objects) > 1
    check(lab)


def test_a_slice_is_bounded_by_its_open_objects_too(lab: Lab) -> None:
    """A compacted topic holds records of any hour, and each open object has its compressor."""
    lab.register()
    lab.limits = replace(lab.limits, slice=Slice(1 << 30, 1 << 30))
    for n in range(3_000):
        lab.send({"n": n}, at_ms=lab.now_ms - n * HOUR_MS)
    assert len(lab.dump()) == 2
    check(lab)


def test_a_second_dump_reads_new_offsets_only_and_nothing_when_there_are_none(lab: Lab) -> None:
    lab.register()
    lab.send({"n": 1})
    lab.dump()
    assert lab.dump() == []
    lab.send({"n": 2})
    (commit,) = lab.dump()
    assert commit.ranges == {0: OffsetRange(1, 2)}
    check(lab)


def test_end_offsets_are_fixed_at_the_start(lab: Lab) -> None:
    lab.register()
    lab.limits = replace(lab.limits, slice=Slice(1 << 20, 1))
    lab.send_all([{"n": n} for n in range(501)])
    running = dump("t", lab.ports(), lab.limits)
    first = next(running)
    lab.send_all([{"n": n} for n in range(1_000)])
    rest = list(running)
    assert rest[-1].next_offsets == {0: 501}
    assert first.complete_as_of is None
    assert rest[-1].complete_as_of == lab.now_ms


def test_stop_ends_between_slices_with_whole_slices_only(lab: Lab) -> None:
    lab.register()
    lab.limits = replace(lab.limits, slice=Slice(1 << 20, 1))
    lab.send_all([{"n": n} for n in range(1_200)])
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 1

    assert len(list(dump("t", lab.ports(), lab.limits, stop))) == 1
    assert lab.metastore.progress("t").backlog == 700
    lab.dump()
    check(lab)


def test_holes_are_passed(lab: Lab) -> None:
    lab.register(partitions=2)
    lab.kafka.leave_hole(TOPIC, 0, 5)
    lab.send({"n": 1})
    lab.kafka.leave_hole(TOPIC, 0, 3)
    lab.send({"n": 2})
    lab.kafka.leave_hole(TOPIC, 0, 2)
    lab.kafka.leave_hole(TOPIC, 1, 4)
    commits = lab.dump()
    assert commits[-1].next_offsets == {0: 12, 1: 4}
    check(lab)
    assert lab.dump() == []


def test_a_topic_that_starts_late_is_read_from_its_earliest_offset(lab: Lab) -> None:
    lab.register()
    lab.send_all([{"n": n} for n in range(10)])
    lab.kafka.expire(TOPIC, 0, 4)
    (commit,) = lab.dump()
    assert commit.ranges == {0: OffsetRange(4, 10)}


def test_new_partitions_start_at_zero(lab: Lab) -> None:
    lab.register()
    lab.send({"n": 1})
    lab.dump()
    lab.kafka.add_partitions(TOPIC, 3)
    lab.send({"n": 2}, partition=2)
    (commit,) = lab.dump()
    assert commit.next_offsets == {0: 1, 1: 0, 2: 1}
    check(lab)
    lab.kafka.add_partitions(TOPIC, 4)
    lab.send_all([{"n": n} for n in range(3)], partition=3)
    lab.kafka.expire(TOPIC, 3, 2)
    with pytest.raises(OffsetsMissingError) as caught:
        lab.dump()
    assert caught.value.ranges == {3: (0, 2)}


class TestMissingOffsets:
    def aged_out(self, lab: Lab) -> None:
        lab.register(partitions=3)
        for partition in range(3):
            lab.send({"n": 0}, partition=partition)
        lab.dump()
        for n in range(1, 6):
            for partition in range(3):
                lab.send({"n": n}, partition=partition)
        lab.kafka.expire(TOPIC, 0, 3)
        lab.kafka.expire(TOPIC, 2, 5)

    def test_stops_with_the_exact_ranges(self, lab: Lab) -> None:
        self.aged_out(lab)
        with pytest.raises(OffsetsMissingError) as caught:
            lab.dump()
        assert caught.value.ranges == {0: (1, 3), 2: (1, 5)}
        assert "p0 [1, 3), p2 [1, 5)" in str(caught.value)
        assert len(log(lab)) == 1

    def test_an_accepted_gap_goes_on_behind_it(self, lab: Lab) -> None:
        self.aged_out(lab)
        missing = missing_ranges("t", lab.ports())
        assert missing == {0: OffsetRange(1, 3), 2: OffsetRange(1, 5)}
        lab.metastore.accept_gaps("t", [Gap(p, r.start, r.end, "me") for p, r in missing.items()])
        assert missing_ranges("t", lab.ports()) == {}
        (commit,) = lab.dump()
        assert commit.ranges == {0: OffsetRange(3, 6), 1: OffsetRange(1, 6), 2: OffsetRange(5, 6)}
        gone = {(0, 1), (0, 2), (2, 1), (2, 2), (2, 3), (2, 4)}
        check_raw(lab.store, "t", [r for r in lab.sent["t"] if r.at not in gone])
        lab.send({"n": 9})
        assert len(lab.dump()) == 1

    def test_a_gap_that_grew_is_not_accepted_silently(self, lab: Lab) -> None:
        self.aged_out(lab)
        lab.metastore.accept_gaps("t", [Gap(0, 1, 3), Gap(2, 1, 5)])
        lab.kafka.expire(TOPIC, 0, 5)
        with pytest.raises(OffsetsMissingError) as caught:
            lab.dump()
        assert caught.value.ranges == {0: (3, 5)}

    def test_records_that_age_out_while_they_are_read(self, lab: Lab) -> None:
        lab.register()
        lab.limits = replace(lab.limits, slice=Slice(1 << 20, 1))
        lab.send_all([{"n": n} for n in range(1_200)])
        running = dump("t", lab.ports(), lab.limits)
        next(running)
        lab.kafka.expire(TOPIC, 0, 700)
        with pytest.raises(OffsetsMissingError, match="accept t") as caught:
            list(running)
        assert caught.value.dataset == "t"
        assert len(log(lab)) == 1


def test_a_re_created_topic_stops(lab: Lab) -> None:
    lab.register()
    lab.send({"n": 1})
    lab.dump()
    lab.kafka.create_topic(TOPIC)
    lab.kafka.produce(TOPIC, None, b"{}")
    lab.kafka.produce(TOPIC, None, b"{}")
    with pytest.raises(TopicRecreatedError) as caught:
        lab.dump()
    assert caught.value.known != caught.value.found
    assert len(log(lab)) == 1


def test_a_commit_whose_writer_died_is_told_though_the_topic_stops(lab: Lab) -> None:
    lab.register()
    lab.send({"n": 1})
    trap = Trap(2, frozenset(["update_progress"]))  # the first is before the slice
    with pytest.raises(Fault):
        lab.dump(metastore=Faulty(trap, lab.metastore))
    lab.kafka.create_topic(TOPIC)
    with pytest.raises(TopicRecreatedError):
        lab.dump()
    assert lab.metastore.progress("t").head_seq == 1


def test_fewer_partitions_stop(lab: Lab) -> None:
    lab.register(partitions=2)
    lab.send({"n": 1}, partition=1)
    lab.dump()
    del lab.kafka._topics[TOPIC][1][1]
    with pytest.raises(TopicRecreatedError):
        lab.dump()


def test_a_log_that_went_back_stops(lab: Lab) -> None:
    lab.register()
    lab.send_all([{"n": n} for n in range(5)])
    lab.dump()
    held = lab.kafka._topics[TOPIC][1][0]
    held.end, held.messages = 3, held.messages[:3]
    with pytest.raises(OffsetsWentBackError) as caught:
        lab.dump()
    assert (caught.value.read, caught.value.end) == (5, 3)


@pytest.mark.parametrize(
    ("status", "said"),
    [(Status.PAUSED, "lake datasets resume t"), (Status.RETIRED, "lake datasets unretire t")],
)
def test_status_forbids(lab: Lab, status: Status, said: str) -> None:
    lab.register()
    lab.metastore.set_status("t", status)
    with pytest.raises(NotRunnableError, match=said):
        lab.dump()


def test_bootstrap_becomes_live_when_all_is_loaded(lab: Lab) -> None:
    lab.register()
    lab.send({"n": 1})
    lab.dump()
    assert lab.metastore.get("t").status == Status.BOOTSTRAPPING
    lab.load()
    assert lab.metastore.get("t").status == Status.LIVE
    assert lab.metastore.progress("t").complete_through == lab.now_ms


def test_an_empty_topic_is_live_at_once(lab: Lab) -> None:
    lab.register()
    assert lab.dump() == []
    assert lab.metastore.get("t").status == Status.LIVE


class TestCommit:
    def test_a_reply_lost_after_the_put_is_settled(self, lab: Lab) -> None:
        lab.register()
        lab.send({"n": 1})
        trap = Trap(1, frozenset(["put_new"]), "after", StorageUnavailableError("reply lost"))
        store: Any = Faulty(trap, lab.store)
        assert len(lab.dump(store=store)) == 1
        assert trap.where == "after put_new"
        check(lab)

    def test_a_put_that_did_not_happen_is_an_error(self, lab: Lab) -> None:
        lab.register()
        lab.send({"n": 1})
        trap = Trap(1, frozenset(["put_new"]), "before", StorageUnavailableError("no answer"))
        with pytest.raises(StorageUnavailableError):
            lab.dump(store=Faulty(trap, lab.store))
        assert log(lab) == []
        lab.dump()
        check(lab)

    def test_one_of_two_dumps_wins_each_seq(self, lab: Lab) -> None:
        lab.register()
        lab.limits = replace(lab.limits, slice=Slice(1 << 20, 1))
        lab.send_all([{"n": n} for n in range(1_100)])
        first = dump("t", lab.ports(), lab.limits)
        second = dump("t", lab.ports(), lab.limits)
        assert next(first).seq == 1
        # The generator looks at the log when it is first asked, so this one goes on behind it.
        assert next(second).seq == 2
        with pytest.raises(CommitRaceError):
            next(first)
        assert [c.seq for c in second] == [3]
        check(lab)

    def test_a_writer_that_slept_cannot_commit_stale_ranges(self, lab: Lab) -> None:
        lab.register()
        lab.send_all([{"n": n} for n in range(5)])

        class Sleepy:
            def __getattr__(self, name: str) -> Any:
                return getattr(lab.store, name)

            def put_new(self, key: str, data: bytes) -> bool:
                lab.dump()
                return lab.store.put_new(key, data)

        stale = dump("t", lab.ports(store=Sleepy()), lab.limits)
        with pytest.raises(CommitRaceError):
            list(stale)
        assert len(log(lab)) == 1
        check(lab)

    def test_a_writer_that_slept_for_half_a_day_does_not_commit(self, lab: Lab) -> None:
        """The cleaner may have taken its objects for orphans: nobody could read the commit."""
        lab.register()
        lab.send({"n": 1})

        class Sleepy:
            def __getattr__(self, name: str) -> Any:
                return getattr(lab.store, name)

            def put(self, key: str, data: bytes) -> None:
                lab.store.put(key, data)
                lab.now_ms += 25 * HOUR_MS

        with pytest.raises(CommitRaceError, match="stood still for 25 h"):
            lab.dump(store=Sleepy())
        assert log(lab) == []
        lab.dump()
        check(lab)

    def test_a_silent_broker_is_an_error_after_a_minute(self, lab: Lab) -> None:
        lab.register()
        lab.send({"n": 1})

        class Silent(MemoryReader):
            def poll(self) -> list[Any]:
                return []

        class SilentKafka(MemoryKafka):
            @contextmanager
            def open(self, topic: str, ranges: Any) -> Iterator[Silent]:
                yield Silent(topic, lab.kafka._partitions(topic), ranges)

            asked = 0
            answers = 100

            def describe(self, topic: str) -> TopicInfo:
                return lab.kafka.describe(topic)

            def topic_id(self, topic: str) -> str:
                self.asked += 1
                if self.asked > self.answers:
                    raise KafkaUnavailableError("it did not answer")
                return lab.kafka.topic_id(topic)

        def clock() -> int:
            lab.now_ms += 11_000
            return lab.now_ms

        silent = SilentKafka()
        with pytest.raises(KafkaUnavailableError, match="gave no record for 60 s"):
            lab.dump(kafka=silent, clock=clock)
        assert 2 <= silent.asked <= 6
        # One that is not there any more is not waited for.
        silent.asked, silent.answers = 0, 1
        with pytest.raises(KafkaUnavailableError, match="it did not answer"):
            lab.dump(kafka=silent, clock=clock)
        assert silent.asked == 2
        assert log(lab) == []


def test_group_offsets_that_cannot_be_shown_do_not_fail_a_dump(lab: Lab) -> None:
    lab.register()
    lab.send({"n": 1})
    trap = Trap(1, frozenset(["report_offsets"]), "before", KafkaUnavailableError("away"))
    assert len(lab.dump(kafka=Faulty(trap, lab.kafka))) == 1
    assert trap.where


class TestClock:
    def test_records_are_filed_by_their_own_hour(self, lab: Lab) -> None:
        lab.register()
        for hours in (-30, -1, 0):
            lab.send({"h": hours}, at_ms=lab.now_ms + hours * HOUR_MS)
        (commit,) = lab.dump()
        assert commit.windows == ["2026-10-30-18:00", "2026-10-31-23:00", "2026-11-01-00:00"]
        assert commit.misfiled == 0
        assert all("/2026/1" in o.key for o in commit.objects)

    @pytest.mark.parametrize("years", [-10, 10])
    def test_a_clock_ten_years_off_is_filed_under_the_ingest_hour(
        self, lab: Lab, years: int
    ) -> None:
        lab.register()
        at = lab.now_ms + years * 365 * 24 * HOUR_MS
        lab.send({"n": 1}, at_ms=at)
        (commit,) = lab.dump()
        assert (commit.windows, commit.misfiled) == (["2026-11-01-00:00"], 1)
        assert commit.objects[0].min_timestamp == at
        check(lab)

    def test_a_missing_timestamp_is_filed_under_the_ingest_hour(self, lab: Lab) -> None:
        lab.register()
        lab.send({"n": 1}, at_ms=-1)
        (commit,) = lab.dump()
        assert (commit.windows, commit.misfiled) == (["2026-11-01-00:00"], 1)
        check(lab)

    def test_order_marks_keep_kafkas_order(self, lab: Lab) -> None:
        """(order or timestamp, offset) rises with the offset whatever the clocks say."""
        lab.register()
        offsets_ms = [0, 5, 3, -10 * 365 * 24 * HOUR_MS, 5, 10 * 365 * 24 * HOUR_MS, 6, 2]
        for shift in offsets_ms:
            lab.send({"n": 1}, at_ms=lab.now_ms + shift)
        lab.dump()
        lab.send({"n": 2}, at_ms=lab.now_ms + 1)
        lab.dump()
        lines = raw_lines(lab.store, log(lab))
        orders = [(x.get("order", x["timestamp"]), x["offset"]) for x in lines]
        assert sorted(orders, key=lambda o: o[1]) == sorted(orders)
        assert log(lab)[-1].order_marks == {0: lab.now_ms + 6}


def test_tombstones_headers_keys_and_bad_values_come_through(lab: Lab) -> None:
    lab.register()
    lab.send(None, key="gone")
    lab.send({"n": 1}, key=b"\xff", headers=[("h", b"v"), ("b", b"\xff"), ("n", None)])
    lab.send(b"\xff\xfe", reason="not valid UTF-8")
    lab.send(b'{"a":\n1}')
    lab.send(b"null", reason="not a JSON object")
    (commit,) = lab.dump()
    lines = raw_lines(lab.store, [commit])
    assert [line.get("tombstone", False) for line in lines] == [True, False, False, False, False]
    assert lines[1]["headers"] == [["h", "v"], ["b", {"bytes": "/w=="}], ["n", None]]
    assert (commit.objects[0].rejected, commit.objects[0].tombstones) == (2, 1)
    check(lab)


def test_a_kill_before_every_change_leaves_whole_slices(tmp_path: Path) -> None:
    at = 0
    while True:
        at += 1
        home = tmp_path / str(at)
        home.mkdir()
        lab, trap = Lab(home), Trap(at)
        lab.register(partitions=2)
        lab.limits = replace(lab.limits, slice=Slice(1 << 20, 1))
        for n in range(6):
            lab.send({"n": n}, partition=n % 2)
        with suppress(Fault):
            lab.dump(**faulty_ports(lab, trap))
        for commit in log(lab):
            assert sum(len(r) for r in commit.ranges.values()) == commit.records
        lab.dump()
        check(lab)
        assert lab.metastore.progress("t").head_seq == log(lab)[-1].seq
        lab.close()
        if not trap.where:
            break
    assert at > 8


def test_commit_round_trip(lab: Lab) -> None:
    lab.register(partitions=2)
    lab.send({"n": 1}, partition=1)
    (commit,) = lab.dump()
    assert RawCommit.from_bytes(commit.to_bytes()) == commit
    assert json.loads(commit.to_bytes())["next_offsets"] == {"0": 0, "1": 1}
