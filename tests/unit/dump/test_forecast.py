"""How long until unread records age out of Kafka, and a topic re-created during a dump."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform.adapters.memory.systems import MemoryKafka, MemoryMessage, MemoryReader
from lake_platform.domain.dataset import Status
from lake_platform.domain.offsets import Gap, OffsetRange, Slice, TopicInfo
from lake_platform.domain.progress import NEVER, time_to_data_loss_seconds
from lake_platform.dump.dump import dump, missing_ranges
from lake_platform.errors import (
    InvalidFieldError,
    KafkaUnavailableError,
    OffsetsMissingError,
    TopicRecreatedError,
)
from lake_platform.raw import log as raw_log
from tests.support import HOUR_MS, NOW_MS, Lab, check_raw

TOPIC = "topic.t"
DAY_MS = 24 * HOUR_MS
MINUTE_MS = 60_000


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    lab.register()
    yield lab
    lab.close()


class Instead:
    """The lab's Kafka with some methods replaced."""

    def __init__(self, lab: Lab, **methods: Any) -> None:
        self._lab = lab
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lab.kafka, name)


def left(lab: Lab) -> float | None:
    return time_to_data_loss_seconds(
        lab.metastore.get("t"), lab.metastore.progress("t"), lab.now_ms
    )


def first_slice(lab: Lab, records: int) -> None:
    """Dumps the oldest `records` of what the topic holds, and no more."""
    lab.limits = replace(lab.limits, slice=Slice(1 << 30, records))
    next(dump("t", lab.ports(), lab.limits))


def test_nothing_is_known_before_the_first_dump(lab: Lab) -> None:
    lab.kafka.set_retention(TOPIC, ms=DAY_MS)
    assert left(lab) is None


def test_a_topic_without_limits_is_no_danger(lab: Lab) -> None:
    lab.send({"n": 1})
    lab.dump()
    lab.now_ms += 400 * DAY_MS
    assert lab.metastore.progress("t").loss_at == NEVER
    assert left(lab) == math.inf


def test_nothing_unread_is_no_danger_while_that_was_seen_lately(lab: Lab) -> None:
    lab.kafka.set_retention(TOPIC, ms=DAY_MS)
    lab.send({"n": 1})
    lab.dump()
    assert left(lab) == math.inf
    lab.now_ms += 15 * MINUTE_MS  # max_lag_seconds
    assert left(lab) == math.inf
    lab.now_ms += MINUTE_MS
    # What came since the look may be unread: it stays a day from then.
    assert left(lab) == (DAY_MS - 16 * MINUTE_MS) / 1000
    lab.now_ms += 2 * DAY_MS
    assert left(lab) == 0
    lab.dump()
    assert left(lab) == math.inf


def test_an_empty_dump_of_an_empty_topic_says_so_too(lab: Lab) -> None:
    lab.kafka.set_retention(TOPIC, ms=DAY_MS)
    lab.dump()
    assert left(lab) == math.inf


def test_a_bootstrap_counts_from_its_read_position(lab: Lab) -> None:
    lab.kafka.set_retention(TOPIC, ms=DAY_MS)
    for n in range(2_000):
        lab.send({"n": n}, at_ms=NOW_MS - 20 * HOUR_MS + n * 1_000)
    first_slice(lab, 500)
    assert left(lab) == 4 * 3_600 + 499
    lab.dump()
    assert left(lab) == math.inf


def test_the_partition_that_is_farthest_behind_counts(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.register(partitions=2)
    lab.kafka.set_retention(TOPIC, ms=DAY_MS)
    for n in range(600):
        lab.send({"n": n}, partition=0, at_ms=NOW_MS - HOUR_MS + n)
        lab.send({"n": n}, partition=1, at_ms=NOW_MS - HOUR_MS + n)
    lab.dump()
    lab.now_ms += MINUTE_MS
    for n in range(600):
        lab.send({"n": n}, partition=0)
        lab.send({"n": n}, partition=1)
    lab.now_ms += HOUR_MS
    first_slice(lab, 500)  # of partition 0; all that partition 1 got is unread since the dump
    assert left(lab) == (DAY_MS - HOUR_MS - MINUTE_MS) / 1000
    lab.close()


def test_time_runs_while_dumps_fail(lab: Lab) -> None:
    """A dump that never commits says what is unread before it reads."""
    lab.kafka.set_retention(TOPIC, ms=DAY_MS)
    lab.send({"n": 1})
    lab.dump()
    seen = lab.now_ms
    lab.send({"n": 2})

    def dead(topic: str, ranges: object) -> None:  # noqa: ARG001 - port
        raise KafkaUnavailableError(topic)

    for hours in (1, 5, 23):
        lab.now_ms = seen + hours * HOUR_MS
        with pytest.raises(KafkaUnavailableError):
            lab.dump(kafka=Instead(lab, open=dead))
        assert lab.metastore.progress("t").backlog == 1
        assert left(lab) == (24 - hours) * 3_600


def test_the_size_limit_counts_by_the_speed_of_the_topic(lab: Lab) -> None:
    lab.send_all({"n": n, "text": "x" * 80} for n in range(100))
    lab.dump()
    (commit,) = raw_log.commits_after(lab.store, "t", 0)
    record = commit.total_bytes / 100
    lab.kafka.set_retention(TOPIC, size=int(record * 1_000))
    lab.now_ms += 100_000
    lab.send_all({"n": n, "text": "x" * 80} for n in range(100))  # one a second
    lab.dump()
    assert lab.metastore.progress("t").kept_ms == pytest.approx(1_000_000, rel=0.02)
    lab.now_ms += 1_000_000
    assert left(lab) == pytest.approx(0, abs=20)
    lab.now_ms -= 900_000
    lab.send_all({"n": n, "text": "x" * 80} for n in range(600))
    first_slice(lab, 500)  # six a second by now; 100 unread leave room for 900 more
    assert left(lab) == pytest.approx(150, rel=0.1)


def test_while_a_topic_stands_still_its_former_speed_counts(lab: Lab) -> None:
    lab.send_all({"n": n} for n in range(100))
    lab.dump()
    lab.kafka.set_retention(TOPIC, size=100_000)
    for seconds, records in ((100, 100), (100, 0), (100, 0)):
        lab.now_ms += seconds * 1_000
        lab.send_all({"n": n} for n in range(records))
        lab.dump()
        assert lab.metastore.progress("t").kept_ms > 0
        assert left(lab) == math.inf


@pytest.mark.parametrize(("ms", "size"), [(2**63 - 1, None), (None, None), (2**63 - 1, 2**63 - 1)])
def test_limits_that_mean_for_ever(lab: Lab, ms: int | None, size: int | None) -> None:
    lab.kafka.set_retention(TOPIC, ms=ms, size=size)
    for _ in range(3):
        lab.send({"n": 1})
        lab.dump()
        lab.now_ms += 1_000
    lab.send({"n": 2})
    lab.dump()
    assert left(lab) == math.inf


def test_a_topic_that_starts_late_has_no_backlog_of_what_is_gone(lab: Lab) -> None:
    lab.kafka.set_retention(TOPIC, ms=DAY_MS)
    for n in range(900):
        lab.send({"n": n}, at_ms=NOW_MS - HOUR_MS)
    lab.kafka.expire(TOPIC, 0, 300)
    first_slice(lab, 500)
    assert lab.metastore.progress("t").backlog == 100
    assert left(lab) == 23 * 3_600


def test_both_limits_count_the_nearer_wins(lab: Lab) -> None:
    lab.kafka.set_retention(TOPIC, ms=HOUR_MS, size=1 << 40)
    for _ in range(2):
        lab.send({"n": 1})
        lab.dump()
        lab.now_ms += 16 * MINUTE_MS
    assert left(lab) == 44 * 60
    assert lab.metastore.progress("t").kept_ms == HOUR_MS


def test_settings_we_may_not_read_leave_it_unknown(lab: Lab) -> None:
    def shy(topic: str) -> TopicInfo:
        return replace(lab.kafka.describe(topic), retention=None)

    lab.send({"n": 1})
    assert len(lab.dump(kafka=Instead(lab, describe=shy))) == 1
    assert left(lab) is None


def test_a_retired_dataset_is_nobodys_worry(lab: Lab) -> None:
    lab.kafka.set_retention(TOPIC, ms=HOUR_MS)
    lab.dump()
    lab.metastore.set_status("t", Status.RETIRED)
    lab.now_ms += DAY_MS
    assert left(lab) is None


def meanwhile(lab: Lab, happens: Callable[[MemoryKafka], None]) -> Instead:
    """The lab's Kafka, to which something happens after the first poll of a reader."""

    class Reader(MemoryReader):
        polls = 0

        def poll(self) -> Sequence[MemoryMessage]:
            self.polls += 1
            if self.polls == 2:
                happens(lab.kafka)
                self._held = lab.kafka._partitions(TOPIC)
            return super().poll()

    @contextmanager
    def opened(topic: str, ranges: Mapping[int, OffsetRange]) -> Iterator[MemoryReader]:
        yield Reader(topic, lab.kafka._partitions(topic), ranges)

    return Instead(lab, open=opened)


def re_create(kafka: MemoryKafka) -> None:
    kafka.delete_topic(TOPIC)
    kafka.create_topic(TOPIC)
    for n in range(900):
        kafka.produce(TOPIC, None, b'{"other":%d}' % n, timestamp_ms=NOW_MS)


def test_a_topic_re_created_during_a_slice_commits_nothing_of_it(lab: Lab) -> None:
    """Else one raw commit would hold records of two topics under the offsets of one."""
    lab.send_all({"n": n} for n in range(900))

    known = lab.kafka.topic_id(TOPIC)
    with pytest.raises(TopicRecreatedError) as caught:
        lab.dump(kafka=meanwhile(lab, re_create))
    assert (caught.value.known, caught.value.found) == (known, lab.kafka.topic_id(TOPIC))
    assert raw_log.commits_after(lab.store, "t", 0) == []


def test_a_topic_re_created_between_slices_keeps_those_before(lab: Lab) -> None:
    lab.send_all({"n": n} for n in range(900))
    lab.limits = replace(lab.limits, slice=Slice(1 << 30, 400))

    slices = dump("t", lab.ports(kafka=meanwhile(lab, re_create)), lab.limits)
    assert next(slices).records == 500
    with pytest.raises(TopicRecreatedError):
        list(slices)
    (commit,) = raw_log.commits_after(lab.store, "t", 0)
    assert commit.next_offsets == {0: 500}


def test_a_topic_deleted_during_a_slice_is_named(lab: Lab) -> None:
    lab.send({"n": 1})
    ports = lab.ports()
    with pytest.raises(InvalidFieldError, match="does not exist"):
        for _ in dump("t", replace(ports, clock=_deleting(lab)), lab.limits):
            raise AssertionError("committed")
    assert raw_log.commits_after(lab.store, "t", 0) == []


def _deleting(lab: Lab) -> Any:
    """A clock at whose third look (in the slice) the topic goes."""
    looks = iter(range(1_000))

    def clock() -> int:
        if next(looks) == 2:
            lab.kafka.delete_topic(TOPIC)
        return lab.now_ms

    return clock


def test_offsets_that_age_out_during_a_slice_are_named_exactly(lab: Lab) -> None:
    lab.send_all({"n": n} for n in range(900))
    with pytest.raises(OffsetsMissingError) as caught:
        lab.dump(kafka=meanwhile(lab, lambda kafka: kafka.expire(TOPIC, 0, 700)))
    assert caught.value.ranges == {0: (500, 700)}
    assert raw_log.commits_after(lab.store, "t", 0) == []


def test_an_accepted_gap_is_exact_and_reading_goes_on_behind_it(lab: Lab) -> None:
    lab.send_all({"n": n} for n in range(900))
    first_slice(lab, 500)
    lab.kafka.expire(TOPIC, 0, 700)
    with pytest.raises(OffsetsMissingError) as caught:
        lab.dump()
    assert caught.value.ranges == {0: (500, 700)}
    missing = missing_ranges("t", lab.ports())
    assert missing == {0: OffsetRange(500, 700)}
    lab.metastore.accept_gaps("t", [Gap(p, r.start, r.end, "me") for p, r in missing.items()])
    (commit,) = lab.dump()
    assert commit.ranges == {0: OffsetRange(700, 900)}
    lab.sent["t"] = [r for r in lab.sent["t"] if not 500 <= r.offset < 700]
    check_raw(lab.store, "t", lab.sent["t"])


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[Lab]:
    home = tmp_path / "keyed"
    home.mkdir()
    lab = Lab(home)
    lab.register(mode="upsert", primary_key=("id",))
    yield lab
    lab.close()


def test_tombstones_that_compaction_may_take_run_down_while_an_upsert_is_paused(keyed: Lab) -> None:
    keyed.kafka.set_retention(TOPIC, tombstones_ms=HOUR_MS)
    keyed.send({"id": 1}, key="1")
    keyed.dump()
    assert left(keyed) == math.inf
    keyed.metastore.pause("t", "ann")
    keyed.now_ms += 30 * MINUTE_MS
    assert left(keyed) == 1_800
    keyed.now_ms += HOUR_MS
    assert left(keyed) == 0


def test_a_limit_shorter_than_the_schedule_is_no_safety_in_between(keyed: Lab) -> None:
    keyed.kafka.set_retention(TOPIC, tombstones_ms=1_000)
    keyed.send({"id": 1}, key="1")
    keyed.dump()
    assert left(keyed) == math.inf
    keyed.now_ms += 2_000  # well within max_lag_seconds: what came since may be gone again
    assert left(keyed) == 0


def test_the_nearer_of_age_and_tombstones_counts(keyed: Lab) -> None:
    keyed.kafka.set_retention(TOPIC, ms=DAY_MS, tombstones_ms=HOUR_MS)
    keyed.dump()
    assert keyed.metastore.progress("t").kept_ms == HOUR_MS
    keyed.kafka.set_retention(TOPIC, ms=MINUTE_MS, tombstones_ms=HOUR_MS)
    keyed.dump()
    assert keyed.metastore.progress("t").kept_ms == MINUTE_MS
    keyed.kafka.set_retention(TOPIC, tombstones_ms=2**63 - 1)
    keyed.dump()
    assert keyed.metastore.progress("t").loss_at == NEVER


def test_an_append_table_needs_no_tombstones(lab: Lab) -> None:
    lab.kafka.set_retention(TOPIC, tombstones_ms=1_000)
    lab.send({"n": 1})
    lab.dump()
    lab.now_ms += DAY_MS
    assert left(lab) == math.inf
