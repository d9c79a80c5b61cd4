"""What the auditor finds: raw, table and quarantine against what Kafka holds.

Reads files itself, without the platform's log, store or Spark: the log as JSON, raw by listing,
Hudi through hudi-rs, Parquet through DuckDB, Kafka through a consumer of its own.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.dataset import Dataset
from tests.integration.real_kafka import duckdb_rows, hudi_rs_rows
from tests.support import (
    Sent,
    check_append,
    check_quarantine,
    check_raw,
    check_upsert,
    expected_quarantine,
)

Coordinates = tuple[int, int]


def check_everything(
    bootstrap: str,
    storage: Path,
    dataset: Dataset,
    sent: Sequence[Sent],
    made: Iterable[Sequence[Sent]],
) -> None:
    """Fails unless all that Kafka holds is in exactly one place: in raw as it was sent, in the
    table as what it must be `made` there."""
    check_topic(bootstrap, dataset.topic, sent)
    check_raw_files(storage, dataset, sent)
    store = open_store(storage.as_uri())
    check_raw(store, dataset.raw_table, sent)
    check_quarantine(store, dataset.table, expected_quarantine(dataset, sent))
    rows = table_rows(storage, dataset)
    wanted = [s for some in made for s in some]
    if dataset.mode == "append":
        check_append(rows, wanted)
    else:
        check_upsert(dataset, rows, wanted)


def table_rows(storage: Path, dataset: Dataset) -> list[dict[str, Any]]:
    path = storage / "lake" / dataset.table
    if dataset.format == "parquet":
        return duckdb_rows(path)
    rows = [r for r in hudi_rs_rows(path) if not r.get("_hoodie_is_deleted")]
    return [{name: _told(value) for name, value in row.items()} for row in rows]


def _told(value: Any) -> Any:
    """A time as records tell it, in milliseconds."""
    return round(value.timestamp() * 1000) if isinstance(value, datetime) else value


def check_topic(bootstrap: str, topic: str, sent: Sequence[Sent]) -> None:
    held = {(p, o): value for p, o, value in read_topic(bootstrap, topic)}
    assert held == {r.at: r.value for r in sent}, f"{topic}: not what was sent"


def read_topic(bootstrap: str, topic: str) -> Iterable[tuple[int, int, bytes | None]]:
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "auditor", "enable.auto.commit": False}
    )
    try:
        partitions = sorted(consumer.list_topics(topic, 20).topics[topic].partitions)
        ends = {
            p: consumer.get_watermark_offsets(TopicPartition(topic, p), 20)[1] for p in partitions
        }
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
        left = sum(ends.values())
        while left:
            for message in consumer.consume(1_000, 1.0):
                partition, offset = message.partition(), message.offset()
                assert message.error() is None and partition is not None and offset is not None
                left -= 1
                yield partition, offset, message.value()
    finally:
        consumer.close()


def check_raw_files(storage: Path, dataset: Dataset, sent: Sequence[Sent]) -> None:
    """The log names each offset once, without a hole; all it names is found by blind listing."""
    wanted = Counter(r.at for r in sent)
    log = read_log(storage, dataset.raw_table)
    assert [c["seq"] for c in log] == list(range(1, len(log) + 1)), "the raw log has a hole"
    ranges = Counter(
        (int(partition), offset)
        for commit in log
        for partition, span in commit["ranges"].items()
        for offset in range(*_bounds(span))
    )
    assert ranges == wanted, f"ranges of the raw log: {_difference(ranges, wanted)}"
    listed = {
        str(path.relative_to(storage)): path
        for path in (storage / "raw" / dataset.topic).rglob("*.json.gz")
    }
    named = [str(o["key"]) for c in log for o in c["objects"]]
    assert len(named) == len(set(named)), "the raw log names an object twice"
    found = Counter(at for key in named for at in _places(listed[key]))
    assert found == wanted, f"raw: {_difference(found, wanted)}"
    alien = {at for path in listed.values() for at in _places(path)} - set(wanted)
    assert not alien, f"raw objects hold what Kafka never had: {sorted(alien)[:5]}"


def read_log(storage: Path, table: str) -> list[Mapping[str, Any]]:
    folder = storage / "checkpoints" / table
    commits: dict[int, Mapping[str, Any]] = {}
    for snapshot in sorted((folder / "phase1-snapshots").glob("*.json.gz"))[-1:]:
        for line in gzip.decompress(snapshot.read_bytes()).splitlines():
            commit = json.loads(line)
            commits[commit["seq"]] = commit
    for path in (folder / "phase1").glob("*.json"):
        commit = json.loads(path.read_text())
        commits[commit["seq"]] = commit
    return [commits[seq] for seq in sorted(commits)]


def _places(path: Path) -> Iterable[Coordinates]:
    for line in gzip.decompress(path.read_bytes()).split(b"\n")[:-1]:
        record = json.loads(line)
        yield record["partition"], record["offset"]


def _bounds(span: Any) -> tuple[int, int]:
    return (span["start"], span["end"]) if isinstance(span, dict) else (span[0], span[1])


def _difference(found: Counter[Any], wanted: Counter[Any]) -> str:
    lost, more = wanted - found, found - wanted
    return f"lost {sorted(lost.items())[:5]}, doubled or alien {sorted(more.items())[:5]}"
