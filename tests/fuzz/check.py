"""One batch through the code phase 1 and the scan run, and everything that must hold after it."""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

from lake_platform.adapters.memory.systems import MemoryMessage
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.offsets import RawObject, Slice
from lake_platform.domain.quality import Reason
from lake_platform.domain.schema import Struct
from lake_platform.domain.storage import ObjectStore
from lake_platform.domain.windows import EARLIEST_MS, HOUR_MS
from lake_platform.dump.raw_slice import RawSlice
from lake_platform.load.scan import Scanner
from lake_platform.raw.objects import read_text
from lake_platform.sight.infer import settled
from lake_platform.sight.profile import Profile
from tests.fuzz import oracle

INGEST_MS = 1_793_491_200_000 + 2 * HOUR_MS
_REASONS = frozenset(r.value for r in Reason)
_POLL = 500
Place = tuple[int, int]


@dataclass
class Tally:
    """What became of the records of all batches."""

    records: int = 0
    accepted: int = 0
    rejected: int = 0
    tombstones: int = 0
    rows: int = 0
    quarantined: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        for name in ("records", "accepted", "rejected", "tombstones", "rows", "quarantined"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.reasons += other.reasons


def check_batch(sent: Sequence[MemoryMessage], source: Struct) -> Tally:
    """Fails unless rows and quarantine together are `sent`, byte for byte."""
    store = open_store("memory:///")
    objects = dump(store, sent)
    tally = Tally(records=len(sent))
    lines = _lines(store, objects)
    expected = {(m.partition(), m.offset()): m for m in sent}
    assert lines.keys() == expected.keys(), "a record is lost, doubled or alien"
    marks: dict[int, int] = {}
    for place, message in expected.items():
        check_line(lines[place], message, marks, tally)
    _another_parser(list(lines.values()), list(lines))
    _check_scan(Scanner(Dataset(topic="t", table="t"), source), objects, store, lines, tally)
    return tally


def dump(store: ObjectStore, sent: Sequence[MemoryMessage]) -> tuple[RawObject, ...]:
    content = RawSlice("t", "t", Slice(1 << 30, 1 << 30), "nonce", {})
    for at in range(0, len(sent), _POLL):
        content.add(sent[at : at + _POLL], INGEST_MS)
    return content.upload(store)


def _lines(store: ObjectStore, objects: Sequence[RawObject]) -> dict[Place, bytes]:
    """Every line by its coordinates; the split is at newlines only, as readers do it."""
    found: dict[Place, bytes] = {}
    for raw in objects:
        text = gzip.decompress(store.get(raw.key))
        assert text.endswith(b"\n")
        lines = text[:-1].split(b"\n")
        assert len(lines) == raw.records
        for line in lines:
            assert b"\r" not in line
            head = json.loads(line)
            place = head["partition"], head["offset"]
            assert place not in found, place
            found[place] = line
    return found


def check_line(line: bytes, sent: MemoryMessage, marks: dict[int, int], tally: Tally) -> None:
    """The line says what was sent and nothing else, and its verdict is the oracle's."""
    value = sent.value()
    head: dict[str, Any]
    if value is None:
        head, rest = split_head(line, b',"value":null,"tombstone":true}')
        tally.tombstones += 1
    elif oracle.accepts(value):
        flat = value.replace(b"\n", b" ").replace(b"\r", b" ")
        head, rest = split_head(line, b',"value":' + flat + b"}")
        tally.accepted += 1
    else:
        plain = json.loads(line)
        assert plain["reason"] in _REASONS, plain["reason"]
        assert base64.b64decode(plain["value_bytes"], validate=True) == value, value
        kept = b',"value_bytes":"%b","reason":"%b"}' % (
            base64.b64encode(value), plain["reason"].encode(),
        )  # fmt: skip
        head, rest = split_head(line, kept)
        tally.rejected += 1
        tally.reasons[plain["reason"]] += 1
    assert rest, (line, value)
    assert head == expected_head(sent, marks), (head, sent)


def split_head(line: bytes, tail: bytes) -> tuple[dict[str, Any], bool]:
    """What stands in front of `tail`, as one document; doubled members are refused."""
    if not line.endswith(tail):
        return {}, False
    members = json.loads(line[: -len(tail)] + b"}", object_pairs_hook=oracle.Members)
    names = [name for name, _ in members]
    assert len(set(names)) == len(names), line
    return {name: _plain(part) for name, part in members}, True


def _plain(part: Any) -> Any:
    if isinstance(part, oracle.Members):
        return {name: _plain(inner) for name, inner in part}
    return [_plain(x) for x in part] if isinstance(part, list) else part


def expected_head(sent: MemoryMessage, marks: dict[int, int]) -> dict[str, Any]:
    kind, at = sent.timestamp()
    head: dict[str, Any] = {"partition": sent.partition(), "offset": sent.offset(), "timestamp": at}
    mark = marks.get(sent.partition(), 0)
    if kind and EARLIEST_MS <= at <= INGEST_MS + HOUR_MS and at >= mark:
        marks[sent.partition()] = at
    else:
        head["order"] = mark
    head |= _key(sent.key())
    if headers := sent.headers():
        head["headers"] = [[name, _header(value)] for name, value in headers]
    return head


def _key(key: bytes | None) -> dict[str, Any]:
    try:
        return {"key": None if key is None else key.decode()}
    except UnicodeDecodeError:
        return {"key": None, "key_bytes": base64.b64encode(key or b"").decode()}


def _header(value: bytes | None) -> Any:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return {"bytes": base64.b64encode(value or b"").decode()}


def _another_parser(lines: Sequence[bytes], places: Sequence[Place]) -> None:
    """DuckDB reads each line as one document with the same coordinates."""
    table = pa.table({"line": [x.decode() for x in lines]})
    database = _database()
    database.register("raw", table)
    read = database.execute(
        "SELECT json_valid(line), CAST(json_extract(line, '$.partition') AS BIGINT), "
        "CAST(json_extract(line, '$.offset') AS BIGINT) FROM raw"
    ).fetchall()
    assert all(valid for valid, _, _ in read)
    assert [(p, o) for _, p, o in read] == list(places)


@cache
def _database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def _check_scan(
    scanner: Scanner,
    objects: Sequence[RawObject],
    store: ObjectStore,
    lines: dict[Place, bytes],
    tally: Tally,
) -> None:
    """rows + quarantine + dropped tombstones = input, and quarantine holds the raw lines."""
    rows = 0
    for raw in objects:
        chunks = scanner.scan(raw, read_text(store, raw))
        rows += sum(len(c.fast) + len(c.slow) for c in chunks)
    report = scanner.report
    by_line = {line: place for place, line in lines.items()}
    rejected = [by_line[r.line] for r in report.rejected]
    assert len(set(rejected)) == len(rejected)
    assert {r.reason for r in report.rejected} <= _REASONS
    in_raw = {p for p, line in lines.items() if b',"value_bytes":"' in line and is_rejected(line)}
    assert in_raw <= set(rejected)
    assert report.dropped == tally.tombstones
    assert report.records == len(lines)
    assert report.unaccounted == 0
    assert rows == report.rows or report.changes
    excluded = len(set(rejected) - in_raw)
    rows = len(lines) - len(rejected) - report.dropped
    assert rows + excluded == tally.accepted
    assert len(in_raw) == tally.rejected
    tally.rows, tally.quarantined = rows, len(rejected)


def is_rejected(line: bytes) -> bool:
    return "value_bytes" in json.loads(line)


@cache
def source_of(topic: tuple[bytes, ...]) -> Struct:
    """A schema some records of the topic fit."""
    sight = settled(topic[:5], Dataset(topic="t", table="t"), Profile()).sight
    assert sight is not None
    return sight.source
