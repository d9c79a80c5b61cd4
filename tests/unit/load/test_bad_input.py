"""Every kind of bad record through the real dump and load: its verdict, its reason, its bytes."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lake_platform.domain.dataset import Status
from lake_platform.domain.quality import MAX_DEPTH, MAX_VALUE_BYTES
from lake_platform.domain.schema import MAX_LEVELS, Array, Field, Scalar, Struct
from lake_platform.errors import SchemaBlockedError
from lake_platform.raw import log as raw_log
from tests.support import HOUR_MS, Lab, raw_lines

LONG, DOUBLE, TEXT = Scalar("long"), Scalar("double"), Scalar("string")
SOURCE = Struct(
    (Field("id", LONG), Field("text", TEXT), Field("n", LONG), Field("d", DOUBLE),
     Field("o", Struct((Field("x", LONG),))), Field("a", Array(Struct((Field("x", LONG),)))))
)  # fmt: skip
NOT_JSON, NOT_UTF8 = "not one valid JSON document", "not valid UTF-8"
NOT_OBJECT, TOO_DEEP = "not a JSON object", "nested deeper than 100"
RANGE, LONG_NUMBER = "number out of range of a double", "number longer than 1000 characters"
UPSERT: dict[str, Any] = {"mode": "upsert", "primary_key": ("id",)}
ORDERED = {**UPSERT, "ordering_field": "n"}
KEYED = {"mode": "upsert", "primary_key": ("text",)}


@dataclass(frozen=True)
class Row:
    """`value` becomes a row, which holds `columns`; other ones where it is the `fresh` table's
    first."""

    value: bytes
    columns: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    at_ms: int | None = None
    fresh: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bad:
    """`value` goes to quarantine with `reason`."""

    value: bytes | None
    reason: str
    options: dict[str, Any] = field(default_factory=dict)
    key: bytes | None = None


@dataclass(frozen=True)
class Incident:
    """`values` stop the table; the message names `change`, the samples show a record."""

    values: tuple[bytes, ...]
    change: str


def sized(total: int) -> bytes:
    empty = b'{"id":1,"text":""}'
    return empty[:-2] + b"x" * (total - len(empty)) + b'"}'


CASES: dict[str, Row | Bad | Incident] = {
    "two documents": Bad(b'{"id":1}{"id":2}', NOT_JSON),
    "text after the value": Bad(b'{"id":1} x', NOT_JSON),
    "single quotes": Bad(b"{'id':1}", NOT_JSON),
    "invalid UTF-8": Bad(b'{"text":"\xff"}', NOT_UTF8),
    "lone surrogate": Bad(b'{"text":"\\ud800"}', NOT_JSON),
    "2^63 in a long": Incident((b'{"n":9223372036854775808}',), "n: long became decimal"),
    "2^53+1 in a double": Incident((b'{"d":9007199254740993}',), "d: double became long"),
    "30 digits in a double": Incident((b'{"d":0.123456789012345678901234567891}',), "d: double"),
    "1e-400 in a double": Incident((b'{"d":1e-400}',), "d: double"),
    "-1E-0400 in a double": Incident((b'{"d":-1E-0400}',), "d: double"),
    "400 zeros in a double": Incident((b'{"d":0.%b1}' % (b"0" * 400),), "d: double"),
    "1e-300 in a double": Row(b'{"d":1e-300}', {"d": 1e-300}),
    "0e-400 in a double": Row(b'{"d":0e-400}', {"d": 0.0}),
    "1e-400 in a new column": Row(b'{"new":1e-400}', {"new": "1e-400"}),
    "40 digits in a new column": Row(b'{"new":%b}' % (b"7" * 40), {"new": "7" * 40}),
    "60 decimals in a new column": Row(
        b'{"new":{"x":0.%b}}' % (b"7" * 60), {"new": {"x": "0." + "7" * 60}}
    ),
    "tiny number with many digits": Row(
        b'{"new":[1.234567890123456789e-300]}', {"new": ["1.234567890123456789e-300"]}
    ),
    "NaN": Bad(b'{"d":NaN}', NOT_JSON),
    "Infinity": Bad(b'{"d":-Infinity}', NOT_JSON),
    "1e400": Bad(b'{"d":1e400}', RANGE),
    "number of 1002 characters in a double": Bad(b'{"d":1.%b}' % (b"0" * 1_000), LONG_NUMBER),
    "number of 1002 characters, tiny": Bad(b'{"d":0.%b1}' % (b"0" * 999), LONG_NUMBER),
    "number of 1002 characters in a new column": Bad(b'{"new":1.%b}' % (b"0" * 1_000), LONG_NUMBER),
    "number of 1000 characters": Row(b'{"d":1.%b}' % (b"0" * 998), {"d": 1.0}),
    "duplicate key": Row(b'{"id":1,"id":2}', {"id": 2}),
    "duplicate key, last null": Row(b'{"id":1,"id":null}', {"id": None}),
    "duplicate key, first of another type": Row(b'{"id":"x","id":2}', {"id": 2}),
    "duplicate key, nested": Row(b'{"o":{"x":[],"x":1},"o":{"x":2}}', {"o": {"x": 2}}),
    "duplicate key, new column": Row(b'{"id":1,"new":"x","new":2}', {"new": 2}),
    "duplicate key, new column, same type": Row(b'{"new":1,"new":2}', {"new": 2}),
    "case twin of a column": Row(b'{"ID":1}', {"id": 1}, fresh={"ID": 1}),
    "case twins in one record": Row(
        b'{"new":1,"NEW":2}', {"new": 1, "_rescued": '{"/NEW":2}'},
        fresh={"NEW": 2},
    ),
    "case twins of the same value": Row(b'{"id":1,"ID":1}', {"id": 1}, fresh={"ID": 1}),
    "case twins in an array": Row(
        b'{"a":[{"x":1},{"X":2}]}', {"a": [{"x": 1}, {"x": 2}]}, fresh={"a": [{"X": 1}, {"X": 2}]}
    ),
    "byte order mark": Bad(b'\xef\xbb\xbf{"id":1}', NOT_JSON),
    "empty value": Bad(b"", "empty value"),
    "raw NUL": Bad(b'{"text":"\x00"}', NOT_JSON),
    "raw newline": Bad(b'{"text":"x\ny"}', NOT_JSON),
    "leading zero": Bad(b'{"n":01}', NOT_JSON),
    "trailing comma": Bad(b'{"n":1,}', NOT_JSON),
    "truncated": Bad(b'{"text":"x', NOT_JSON),
    "depth 2000": Bad(b'{"id":' * 2_000 + b"1" + b"}" * 2_000, TOO_DEEP),
    "one deeper than the limit": Bad(
        b'{"new":%b%b}' % (b"[" * MAX_DEPTH, b"]" * MAX_DEPTH), TOO_DEEP
    ),
    "as deep as the limit": Row(
        b'{"id":1,"new":%b1%b}' % (b'{"x":' * (MAX_DEPTH - 1), b"}" * (MAX_DEPTH - 1)), {"id": 1}
    ),
    "arrays as deep as the limit": Row(
        b'{"id":1,"new":%b1%b}' % (b"[" * (MAX_DEPTH - 1), b"]" * (MAX_DEPTH - 1)), {"id": 1}
    ),
    "array": Bad(b'[{"id":1}]', NOT_OBJECT),
    "scalar": Bad(b"5", NOT_OBJECT),
    "JSON null": Bad(b"null", NOT_OBJECT),
    "null value": Bad(None, "tombstone in an append table", {"tombstones": "quarantine"}),
    "null value without a key": Bad(
        None, "the key of the tombstone does not give the primary key", UPSERT
    ),
    "null value, key is no UTF-8": Bad(
        None, "the key of the tombstone does not give the primary key", KEYED, b"\xff"
    ),
    "null primary key": Bad(b'{"id":null,"n":1}', "primary key is null or missing", UPSERT),
    "missing primary key": Bad(b'{"n":1}', "primary key is null or missing", UPSERT),
    "primary key nulled by its duplicate": Bad(
        b'{"id":1,"id":null}', "primary key is null or missing", UPSERT
    ),
    "primary key of 1025 bytes": Bad(
        json.dumps({"text": "ü" * 512 + "x"}, ensure_ascii=False).encode(),
        "primary key larger than 1 KB", KEYED,
    ),
    "primary key of 1024 bytes": Row(
        json.dumps({"text": "ü" * 512}, ensure_ascii=False).encode(), {"text": "ü" * 512}, KEYED
    ),
    "null ordering field": Bad(
        b'{"id":1,"n":null}', "ordering field is null or missing", ORDERED
    ),
    "missing ordering field": Bad(b'{"id":1}', "ordering field is null or missing", ORDERED),
    "partition value of 300 characters": Bad(
        b'{"text":"%b"}' % (b"q" * 300), "partition value longer than 200 bytes",
        {"partition_by": ("text",)},
    ),
    "clock ten years behind": Row(b'{"id":1}', {"id": 1}, at_ms=-10 * 365 * 24 * HOUR_MS),
    "clock ten years ahead": Row(b'{"id":1}', {"id": 1}, at_ms=10 * 365 * 24 * HOUR_MS),
    "clock at the end of time": Row(b'{"id":1}', {"id": 1}, at_ms=2**63 - 1 - 1_793_491_200_000),
    "1 MB": Row(sized(1_000_000), {"id": 1}),
    "8 MiB": Row(sized(MAX_VALUE_BYTES), {"id": 1}),
    "10 MB": Bad(sized(10_000_000), "value larger than 8 MiB"),
    "10,000 fields": Row(
        json.dumps({"new": {f"f{n}": n for n in range(10_000)}}).encode(), {"n": None}
    ),
    "reserved words": Row(b'{"select":1,"order":2,"group":3}', {"select": 1, "order": 2}),
    "dots": Row(b'{"a.b":1}', {"a_b": 1}),
    "backticks": Row(
        b'{"o":{"a`b":1}}', {"o": {"x": None, "a_b": 1}}, fresh={"o": {"a_b": 1}}
    ),
    "spaces": Row(b'{"a b":1}', {"a_b": 1}),
    "_hoodie_*": Row(b'{"_hoodie_commit_time":"x"}', {"src_hoodie_commit_time": "x"}),
    "_kafka_*": Row(b'{"_Kafka_offset":1}', {"src_Kafka_offset": 1}),
    "_rescued": Row(b'{"_rescued":1}', {"src_rescued": 1}),
}  # fmt: skip


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def kept_bytes(lab: Lab, coordinates: tuple[int, int]) -> bytes | None:
    """What raw holds of a record, byte for byte."""
    for commit in raw_log.commits_after(lab.store, "t", 0):
        for line in raw_lines(lab.store, [commit]):
            if (line["partition"], line["offset"]) == coordinates:
                return base64.b64decode(line["value_bytes"]) if "value_bytes" in line else None
    raise AssertionError(f"{coordinates} is not in raw")


def rows_of(cases: type) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", [n for n, c in CASES.items() if isinstance(c, cases)])


@rows_of(Bad)
def test_quarantined(lab: Lab, name: str) -> None:
    case = CASES[name]
    assert isinstance(case, Bad)
    lab.register(source=SOURCE, max_quarantine_ratio=1.0, **case.options)
    sound = {"id": 7, "text": "sound", "n": 1}
    lab.send(sound)
    record = lab.send(case.value, key=case.key, reason=case.reason)
    lab.send({**sound, "id": 8, "text": "after"})
    (done,) = lab.cycle()
    assert done.quarantined == {case.reason: 1}
    assert done.applied.balance.difference == 0
    (held,) = lab.quarantined()
    if "value_bytes" in held["record"]:
        assert base64.b64decode(held["record"]["value_bytes"]) == record.value
        assert kept_bytes(lab, record.at) == record.value
    assert [r["id"] for r in lab.rows()] == [7, 8]
    lab.account()


@rows_of(Row)
@pytest.mark.parametrize("live", [False, True], ids=["first", "live"])
def test_becomes_a_row(lab: Lab, name: str, live: bool) -> None:
    """As the first record of a table, and in one that is there."""
    case = CASES[name]
    assert isinstance(case, Row)
    lab.register(source=SOURCE, **case.options)
    if live:
        lab.send({"id": -1, "text": "first", "n": 1})
        lab.cycle()
    at_ms = None if case.at_ms is None else lab.now_ms + case.at_ms
    lab.send(case.value, at_ms=at_ms)
    (done,) = lab.cycle()
    assert done.quarantined == {}
    (row,) = [r for r in lab.rows() if r.get("id") != -1]
    columns = case.columns if live else case.fresh or case.columns
    assert {name: row[name] for name in columns} == columns
    *_, commit = raw_log.commits_after(lab.store, "t", 0)
    assert commit.misfiled == (case.at_ms is not None)
    assert case.value in _raw_text(lab)
    lab.account()


@rows_of(Incident)
def test_stops_the_table(lab: Lab, name: str) -> None:
    case = CASES[name]
    assert isinstance(case, Incident)
    lab.register(source=SOURCE)
    lab.send({"id": 7})
    lab.cycle()
    for value in case.values:
        lab.send(value)
    lab.dump()
    with pytest.raises(SchemaBlockedError) as caught:
        lab.load()
    assert case.change in str(caught.value)
    assert lab.metastore.get("t").status == Status.BLOCKED
    assert [r["id"] for r in lab.rows()] == [7]
    active = lab.metastore.active_schema("t")
    assert active is not None
    assert (active.version, active.source) == (1, SOURCE)
    for value in case.values:
        assert value in _raw_text(lab)


def test_the_deepest_record_leaves_room_on_the_stack(lab: Lab) -> None:
    """A run in Dagster stands some hundred frames deep already; a record must not crash it."""
    lab.register(source=SOURCE)
    lab.send(b'{"id":1,"new":%b1%b}' % (b'{"x":' * (MAX_LEVELS - 1), b"}" * (MAX_LEVELS - 1)))

    def deep(frames: int) -> None:
        if frames:
            deep(frames - 1)
        else:
            lab.cycle()

    deep(300)
    assert [r["id"] for r in lab.rows()] == [1]


def _raw_text(lab: Lab) -> bytes:
    commits = raw_log.commits_after(lab.store, "t", 0)
    return b"".join(gzip.decompress(lab.store.get(o.key)) for c in commits for o in c.objects)


def test_quarantine_gives_up_what_a_replay_no_longer_rejects(lab: Lab) -> None:
    lab.register(source=SOURCE, tombstones="quarantine")
    lab.send({"id": 1})
    lab.send(None, key="1")
    lab.cycle()
    assert len(lab.quarantined()) == 1
    lab.metastore.update("t", {"tombstones": "drop"}, 1, "test")
    lab.load(replay=["2026-11-01-00:00"])
    assert lab.quarantined() == []
    lab.account()
