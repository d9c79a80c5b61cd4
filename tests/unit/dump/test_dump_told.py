"""What a dump tells: its errors, its commits, the metastore, the log of the process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from lake_platform.adapters.memory import systems as memory
from lake_platform.adapters.memory.systems import MemoryKafka, MemoryReader
from lake_platform.domain.offsets import Slice
from lake_platform.domain.windows import HOUR_MS
from lake_platform.dump.dump import dump
from lake_platform.errors import (
    CommitRaceError,
    KafkaUnavailableError,
    OffsetsMissingError,
    OffsetsWentBackError,
    TopicRecreatedError,
)
from lake_platform.raw import log as raw_log
from tests.cleaner_support import Meddling
from tests.support import NOW_MS, Faulty, Lab, Trap

TOPIC = "topic.t"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setattr(memory, "_POLL_MESSAGES", 4)
    lab = Lab(tmp_path)
    lab.register(partitions=2)
    yield lab
    lab.close()


class TestErrors:
    def test_a_topic_re_created_between_dumps(self, lab: Lab) -> None:
        lab.send({"n": 1})
        lab.dump()
        known = lab.kafka.topic_id(TOPIC)
        lab.kafka.create_topic(TOPIC, 2)
        told = rf"^dataset 't': topic '{TOPIC}' .*\(id {known} became {lab.kafka.topic_id(TOPIC)}\)"
        with pytest.raises(TopicRecreatedError, match=told):
            lab.dump()

    def test_a_topic_re_created_while_a_slice_is_read(self, lab: Lab) -> None:
        lab.send({"n": 1})
        known, held = lab.kafka.topic_id(TOPIC), lab.kafka

        class Other(Meddling):
            def topic_id(self, topic: str) -> str:
                self.once(lambda: held.create_topic(topic, 2))
                return held.topic_id(topic)

        with pytest.raises(TopicRecreatedError, match=f"^dataset 't': topic '{TOPIC}'") as caught:
            lab.dump(kafka=Other(held))
        assert (caught.value.known, caught.value.found) == (known, held.topic_id(TOPIC))
        assert raw_log.head(lab.store, "t") is None

    def test_a_log_that_went_back(self, lab: Lab) -> None:
        lab.send_all([{"n": n} for n in range(5)], partition=1)
        lab.dump()
        held = lab.kafka._topics[TOPIC][1][1]
        held.end, held.messages = 3, held.messages[:3]
        told = f"^dataset 't': topic '{TOPIC}' partition 1 ends at offset 3, but was read up to 5 "
        with pytest.raises(OffsetsWentBackError, match=told):
            lab.dump()

    def test_records_that_aged_out(self, lab: Lab) -> None:
        lab.send({"n": 1}, partition=1)
        lab.dump()
        lab.send_all([{"n": n} for n in range(5)], partition=1)
        lab.kafka.expire(TOPIC, 1, 4)
        told = rf"^dataset 't': topic '{TOPIC}' no longer holds offsets p1 \[1, 4\):"
        with pytest.raises(OffsetsMissingError, match=told):
            lab.dump()

    @pytest.mark.parametrize(("waited_ms", "fails"), [(60_000, False), (60_001, True)])
    def test_a_broker_that_gives_nothing(self, lab: Lab, waited_ms: int, fails: bool) -> None:
        lab.send({"n": 1})
        silent = SilentKafka(lab, [0, waited_ms])
        if fails:
            told = (
                rf"^dataset 't': topic '{TOPIC}' gave no record for 60 s at {{0: 0, 1: 0}} of ends "
                rf"{{0: 1, 1: 0}}; the slice was not committed$"
            )
            with pytest.raises(KafkaUnavailableError, match=told):
                lab.dump(kafka=silent)
        else:
            assert len(lab.dump(kafka=silent)) == 1

    def test_waiting_counts_from_the_last_record(self, lab: Lab) -> None:
        lab.send_all([{"n": n} for n in range(6)])
        silent = SilentKafka(lab, [40_000, 20_000], first=True)
        (commit,) = lab.dump(kafka=silent)
        assert commit.records == 6

    @pytest.mark.parametrize(("over_ms", "fails"), [(0, False), (1, True)])
    def test_a_writer_that_stood_still(self, lab: Lab, over_ms: int, fails: bool) -> None:
        lab.send({"n": 1})

        class Sleepy(Meddling):
            def put(self, key: str, data: bytes) -> None:
                self._inner.put(key, data)
                lab.now_ms += 12 * HOUR_MS + over_ms

        if fails:
            with pytest.raises(CommitRaceError, match=r"^dataset 't': this writer stood still for"):
                lab.dump(store=Sleepy(lab.store))
        else:
            assert len(lab.dump(store=Sleepy(lab.store))) == 1


class SilentKafka(MemoryKafka):
    """Polls give nothing, one after the other for as long as `waits` says, then what there is.
    `first`: after one that gave something."""

    def __init__(self, lab: Lab, waits: list[int], first: bool = False) -> None:
        super().__init__()
        self._topics = lab.kafka._topics
        self._lab, self._waits, self._first = lab, waits, first

    @contextmanager
    def open(self, topic: str, ranges: Any) -> Iterator[MemoryReader]:
        kafka = self

        class Silent(MemoryReader):
            def poll(self) -> Any:
                if kafka._first:
                    kafka._first = False
                    kafka._lab.now_ms += kafka._waits[0]
                    return super().poll()
                if kafka._waits:
                    kafka._lab.now_ms += kafka._waits.pop(0)
                    return []
                return super().poll()

        yield Silent(topic, self._partitions(topic), ranges)


class TestTold:
    def test_a_commit(self, lab: Lab) -> None:
        lab.send_all([{"n": n} for n in range(3)])
        lab.now_ms += 5
        (commit,) = lab.dump()
        assert (commit.topic, commit.topic_id) == (TOPIC, lab.kafka.topic_id(TOPIC))
        assert (commit.committed_at, commit.complete_as_of) == (NOW_MS + 5, NOW_MS + 5)
        assert len(commit.nonce) == 12
        assert all(o.key.startswith(f"raw/{TOPIC}/") for o in commit.objects)
        assert all(o.key.endswith(f"-{commit.nonce}.json.gz") for o in commit.objects)
        assert all("/t-p0-0-2-" in o.key for o in commit.objects)

    def test_the_metastore_after_each_slice_and_at_the_end(self, lab: Lab) -> None:
        lab.limits = replace(lab.limits, slice=Slice(1 << 20, 1))
        lab.send_all([{"n": n} for n in range(10)])
        running = dump("t", lab.ports(), lab.limits)
        seen = []
        for commit in running:
            progress = lab.metastore.progress("t")
            seen.append((progress.head_seq, progress.records_ingested, progress.backlog))
            assert progress.bytes_ingested == commit.total_bytes
            assert (progress.dumped_at, progress.looked_at) == (lab.now_ms, NOW_MS)
            assert progress.complete_as_of == 0
            lab.metastore.update_progress("t", dump_error="of a dump before")
            lab.now_ms += 1_000
        assert seen == [(1, 4, 6), (2, 8, 2), (3, 10, 0)]
        done = lab.metastore.progress("t")
        assert (done.complete_as_of, done.looked_at, done.backlog) == (NOW_MS, NOW_MS, 0)
        assert (done.dumped_at, done.last_error) == (lab.now_ms, "")
        assert done.complete_through == 0, "nothing was loaded yet"

    def test_an_idle_dump_says_that_all_was_read(self, lab: Lab) -> None:
        lab.send({"n": 1})
        lab.cycle()
        lab.now_ms += HOUR_MS
        assert lab.dump() == []
        done = lab.metastore.progress("t")
        assert (done.complete_as_of, done.complete_through) == (lab.now_ms, lab.now_ms)

    def test_a_backlog_that_is_never_read_is_told_before(self, lab: Lab) -> None:
        lab.send_all([{"n": n} for n in range(10)])
        trap = Trap(1, frozenset(["open"]), error=KafkaUnavailableError("away"))
        with pytest.raises(KafkaUnavailableError):
            lab.dump(kafka=Faulty(trap, lab.kafka))
        progress = lab.metastore.progress("t")
        assert (progress.backlog, progress.looked_at, progress.head_seq) == (10, NOW_MS, 0)

    def test_kafkas_own_tools(self, lab: Lab) -> None:
        lab.send_all([{"n": n} for n in range(3)], partition=1)
        lab.dump()
        assert lab.kafka.reported == {("lake-t", TOPIC): {0: 0, 1: 3}}

    def test_the_log_when_kafkas_tools_cannot_be_told(self, lab: Lab) -> None:
        lab.send({"n": 1})
        trap = Trap(1, frozenset(["report_offsets"]), error=KafkaUnavailableError("away"))
        with capture_logs() as logs:
            lab.dump(kafka=Faulty(trap, lab.kafka))
        warned = [e for e in logs if e["log_level"] == "warning"]
        assert warned == [
            {"event": "group offsets not shown in Kafka", "dataset": "t", "error": "away",
             "log_level": "warning"}
        ]  # fmt: skip
