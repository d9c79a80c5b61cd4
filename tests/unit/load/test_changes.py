"""Tables of change events: rows, updates, deletes, keys that change, and what is no row."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lake_platform.audit.change import ChangeReader
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.quality import Reason
from lake_platform.domain.resolutions import Asked
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.errors import InvalidFieldError, QuarantineRatioError, SchemaBlockedError
from lake_platform.load.advice import advice
from lake_platform.load.quarantined import wanted
from lake_platform.load.redrive import Redrive
from lake_platform.rebuild.rebuild import Rebuilder
from lake_platform.records.columns import arrow_fields
from lake_platform.records.opened import Opener
from tests.audit_support import Copy, RowReader, copy_of, parquet_lab
from tests.support import Lab
from tests.unit.audit.test_upsert import make

Row = dict[str, Any]
NOW = 1_790_000_000_000
EMPTIED, DECIDED = Reason.EMPTIED.value, Reason.DECIDED.value


def debezium(op: str, before: Row | None = None, after: Row | None = None, lsn: int = 1) -> Row:
    source = {"connector": "postgresql", "lsn": lsn, "ts_ms": NOW + lsn, "table": "t"}
    return {"before": before, "after": after, "source": source, "op": op, "ts_ms": NOW}


def canal(op: str, before: Row | None = None, after: Row | None = None, lsn: int = 1) -> Row:
    kind = {"c": "INSERT", "r": "INSERT", "u": "UPDATE", "d": "DELETE", "t": "TRUNCATE"}[op]
    row = after or before
    types = {"id": "bigint", "n": "varchar(9)"}
    text = None if row is None else {k: v if v is None else str(v) for k, v in row.items()}
    old = {k: str(v) for k, v in (before or {}).items() if after and after[k] != v}
    return {
        "data": None if text is None else [text],
        "old": [old] if op == "u" else None,
        "type": kind,
        "isDdl": op == "t",
        "es": NOW + lsn,
        "ts": NOW,
        "mysqlType": types,
    }


def maxwell(op: str, before: Row | None = None, after: Row | None = None, lsn: int = 1) -> Row:
    kind = {"c": "insert", "r": "bootstrap-insert", "u": "update", "d": "delete"}
    row = after or before
    old = {k: v for k, v in (before or {}).items() if after and after[k] != v}
    told = {"database": "d", "table": "t", "ts": NOW // 1000, "position": f"b.000001:{lsn}"}
    return {**told, "type": kind.get(op, "table-truncate"), "data": row} | (
        {"old": old} if op == "u" else {}
    )


def ogg(op: str, before: Row | None = None, after: Row | None = None, lsn: int = 1) -> Row:
    kind = {"c": "I", "r": "I", "u": "U", "d": "D", "t": "T"}[op]
    told = {"table": "S.T", "op_ts": "2026-11-01 10:00:00.000001", "pos": f"{lsn:020d}"}
    return {**told, "op_type": kind, "before": before, "after": after}


def dms(op: str, before: Row | None = None, after: Row | None = None, lsn: int = 1) -> Row:
    kind = {"c": "insert", "r": "load", "u": "update", "d": "delete", "t": "truncate-table"}[op]
    about = {
        "record-type": "control" if op == "t" else "data",
        "operation": kind,
        "timestamp": "2026-11-01T10:00:00.000001Z",
        "transaction-id": lsn,
    }
    image = {"before-image": before} if op == "u" else {}
    return {"data": after or before or {}, "metadata": about} | image


def wrapped(op: str, before: Row | None = None, after: Row | None = None, lsn: int = 1) -> Row:
    fields = [{"type": "int64", "field": "id"}, {"type": "string", "field": "n"}]
    images = [{"type": "struct", "field": f, "fields": fields} for f in ("before", "after")]
    return {
        "schema": {"type": "struct", "fields": images},
        "payload": debezium(op, before, after, lsn),
    }


EVENTS: dict[str, Callable[..., Row]] = {
    "debezium": debezium,
    "wrapped": wrapped,
    "canal": canal,
    "maxwell": maxwell,
    "ogg": ogg,
    "dms": dms,
}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    labs: list[Lab] = []

    def made(**definition: Any) -> Lab:
        labs.append(make(tmp_path / f"lab{len(labs)}", source=None, **definition))
        return labs[-1]

    yield made
    for lab in labs:
        lab.close()


def audit(lab: Lab, tmp_path: Path) -> Any:
    """Deep; the values of the rows too, where the table in memory has them as an engine would."""
    if lab.dataset().format == "parquet":
        return copy_of(lab, tmp_path / f"copy {len(list(tmp_path.iterdir()))}").audit()
    active = lab.metastore.active_schema("t")
    assert active is not None
    reader = RowReader(lab, arrow_fields(active.columns))
    for row in reader.rows:
        if isinstance(time := row.get("_source_time"), int):
            row["_source_time"] = dt.datetime.fromtimestamp(time / 1000, dt.UTC)
    return Copy(lab, lab.home / "storage", reader).audit()


def rows(lab: Lab) -> list[Row]:
    found = [{n: v for n, v in r.items() if n[0] != "_"} for r in lab.plain_rows()]
    return sorted(found, key=lambda r: str(r["id"]))


def envelope_of(name: str) -> str:
    return "debezium" if name == "wrapped" else name


@pytest.mark.parametrize("envelope", ["own", "auto"])
@pytest.mark.parametrize("name", EVENTS)
def test_the_table_has_the_rows_of_the_source(
    made: Any, tmp_path: Path, name: str, envelope: str
) -> None:
    event = EVENTS[name]
    lab = made(envelope=envelope_of(name) if envelope == "own" else "auto")
    lab.send(event("r", None, {"id": 1, "n": "a"}, 1))
    lab.send(event("c", None, {"id": 2, "n": "b"}, 2))
    lab.send(event("c", None, {"id": 3, "n": "c"}, 3))
    lab.send(event("c", None, {"id": 4, "n": "d"}, 4))
    lab.cycle()
    assert [r["id"] for r in rows(lab)] == [1, 2, 3, 4]
    lab.send(event("u", {"id": 1, "n": "a"}, {"id": 1, "n": "A"}, 5))
    lab.send(event("d", {"id": 2, "n": "b"}, None, 6))
    lab.send(event("u", {"id": 3, "n": "c"}, {"id": 30, "n": "c"}, 7))
    lab.send(event("d", {"id": 4, "n": "d"}, None, 8))
    lab.send(event("c", None, {"id": 4, "n": "D"}, 9))
    balance = lab.cycle()[-1].applied.balance
    assert rows(lab) == [{"id": 1, "n": "A"}, {"id": 30, "n": "c"}, {"id": 4, "n": "D"}]
    assert (balance.records, balance.exploded, balance.deleted) == (5, 1, 2)
    assert balance.difference == 0
    assert lab.quarantined() == []
    report = audit(lab, tmp_path)
    assert report.verdict == "sound", report.findings


@pytest.mark.parametrize("name", EVENTS)
def test_one_batch_or_many_make_one_table(made: Any, name: str) -> None:
    event = EVENTS[name]
    story = [
        event("c", None, {"id": 1, "n": "a"}, 1),
        event("u", {"id": 1, "n": "a"}, {"id": 2, "n": "a"}, 2),
        event("c", None, {"id": 1, "n": "again"}, 3),
        event("u", {"id": 2, "n": "a"}, {"id": 3, "n": "x"}, 4),
        event("d", {"id": 3, "n": "x"}, None, 5),
        event("u", {"id": 1, "n": "again"}, {"id": 3, "n": "y"}, 6),
    ]
    tables = []
    for size in (1, 2, 6):
        lab = made(envelope=envelope_of(name))
        for start in range(0, len(story), size):
            lab.send_all(story[start : start + size])
            lab.cycle()
        tables.append(rows(lab))
    assert tables == [[{"id": 3, "n": "y"}]] * 3


def test_a_replay_gives_the_same_table(made: Any, tmp_path: Path) -> None:
    lab = made(envelope="debezium")
    for number in range(5):
        lab.send(debezium("c", None, {"id": number, "n": "a"}, number))
        lab.cycle()
    lab.send(debezium("d", {"id": 1}, None, 9))
    lab.send(debezium("u", {"id": 2, "n": "a"}, {"id": 20, "n": "a"}, 10))
    lab.cycle()
    before = rows(lab)
    window = lab.dump() or lab.load(replay=[_window(lab)])
    assert window
    assert rows(lab) == before
    assert audit(lab, tmp_path).verdict == "sound"


def _type(active: Any, name: str) -> Any:
    return active.columns.get(name).type


def _window(lab: Lab) -> str:
    from lake_platform.raw import log

    commits = list(log.iter_commits_after(lab.store, "t", 0))
    return commits[0].objects[0].window


@pytest.mark.parametrize(
    ("key", "gone"),
    [
        ('{"id":1}', True),
        (
            '{"schema":{"type":"struct","fields":[{"field":"id","type":"int64"}]},"payload":{"id":1}}',
            True,
        ),
        ("1", True),
        (None, False),
        ('{"other":1}', False),
    ],
)
def test_a_delete_without_a_row_before_goes_by_its_key(
    made: Any, tmp_path: Path, key: str | None, gone: bool
) -> None:
    lab = made(envelope="debezium")
    lab.send(debezium("c", None, {"id": 1, "n": "a"}))
    lab.send(debezium("d", None, None, 2), key=key)
    lab.cycle()
    assert (rows(lab) == []) is gone
    assert [q["reason"] for q in lab.quarantined()] == (
        [] if gone else ["the key of the tombstone does not give the primary key"]
    )
    assert lab.metastore.progress("t").quarantined_deletes == (0 if gone else 1)
    assert audit(lab, tmp_path).verdict == "sound"


def test_a_tombstone_behind_a_delete_changes_nothing(made: Any, tmp_path: Path) -> None:
    lab = made(envelope="debezium")
    lab.send(debezium("c", None, {"id": 1, "n": "a"}), key='{"id":1}')
    lab.send(debezium("d", {"id": 1}, None, 2), key='{"id":1}')
    lab.send(None, key='{"id":1}')
    lab.send(debezium("c", None, {"id": 1, "n": "b"}, 3), key='{"id":1}')
    lab.cycle()
    assert rows(lab) == [{"id": 1, "n": "b"}]
    lab.send(None, key='{"schema":null,"payload":{"id":1}}')
    lab.cycle()
    assert rows(lab) == []
    assert audit(lab, tmp_path).verdict == "sound"


NO_ROW = {
    "boundary of a transaction": {"status": "BEGIN", "id": "1:2", "event_count": None},
    "its end": {"status": "END", "id": "1:2", "event_count": 2, "data_collections": []},
    "heartbeat": {"ts_ms": NOW},
    "change of a schema": {"source": {}, "databaseName": "d", "ddl": "ALTER …", "tableChanges": []},
    "message": {"op": "m", "source": {}, "message": {"prefix": "p", "content": "YQ=="}},
}


@pytest.mark.parametrize("mode", ["upsert", "append"])
@pytest.mark.parametrize("kind", NO_ROW)
def test_what_is_about_no_row_is_dropped(made: Any, tmp_path: Path, kind: str, mode: str) -> None:
    lab = made(envelope="debezium", mode=mode)
    lab.send(debezium("c", None, {"id": 1, "n": "a"}))
    lab.send(NO_ROW[kind])
    balance = lab.cycle()[-1].applied.balance
    assert (balance.written, balance.dropped, balance.difference) == (1, 1, 0)
    assert lab.quarantined() == []
    assert audit(lab, tmp_path).verdict == "sound"


BAD = {
    "a plain record": ({"id": 1, "n": "x"}, "not a change event"),
    "an unknown op": (debezium("x", None, {"id": 1}), "not a change event"),
    "no row": (debezium("c", None, None), "without the row after"),
    "a row that is a number": (debezium("c", None, 5), "not a change event"),  # type: ignore[arg-type]
    "a left out value": (
        debezium("u", None, {"id": 1, "n": "__debezium_unavailable_value"}),
        "leaves out",
    ),
    "a payload that is none": ({"schema": {}, "payload": 7}, "not a change event"),
    "a schema that is none": (
        {"schema": 7, "payload": debezium("c", None, {"id": 1, "n": "b"})},
        "",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_change_event_is_put_aside(made: Any, tmp_path: Path, kind: str) -> None:
    value, reason = BAD[kind]
    lab = made(envelope="debezium")
    lab.send(debezium("c", None, {"id": 0, "n": "a"}))
    lab.send(value)
    lab.cycle()
    found = [q["reason"] for q in lab.quarantined()]
    assert len(found) == bool(reason)
    assert all(reason in text for text in found)
    assert audit(lab, tmp_path).verdict == "sound"


def test_several_rows_in_one_event_are_put_aside(made: Any, tmp_path: Path) -> None:
    lab = made(envelope="canal")
    lab.send(canal("c", None, {"id": 0, "n": "a"}))
    lab.send(canal("c", None, {"id": 1, "n": "a"}) | {"data": [{"id": "1"}, {"id": "2"}]})
    lab.cycle()
    assert [q["reason"] for q in lab.quarantined()] == ["a change event of several rows"]
    assert audit(lab, tmp_path).verdict == "sound"


@pytest.mark.parametrize("resolution", ["reject", "quarantine"])
@pytest.mark.parametrize("name", EVENTS)
def test_an_emptied_table_stops_until_somebody_says_so(
    made: Any, tmp_path: Path, name: str, resolution: str
) -> None:
    event = EVENTS[name]
    lab = made(envelope=envelope_of(name), on_conflict="rescue")
    lab.send(event("c", None, {"id": 1, "n": "a"}, 1))
    lab.cycle()
    lab.send(event("t", None, None, 2))
    lab.send(event("c", None, {"id": 2, "n": "b"}, 3))
    with pytest.raises(SchemaBlockedError, match="emptied"):
        lab.cycle()
    assert [r["id"] for r in rows(lab)] == [1]
    (incident,) = lab.metastore.incidents("t", "OPEN")
    assert incident.samples
    use_cases(lab).resolve_incident(incident.id, Asked(resolution), "somebody")
    balance = lab.load()[-1].applied.balance
    assert (balance.written, balance.dropped + balance.quarantined) == (1, 1)
    assert [r["id"] for r in rows(lab)] == [1, 2]
    kept = [EMPTIED] if resolution == "quarantine" else []
    assert [q["reason"] for q in lab.quarantined()] == kept
    assert audit(lab, tmp_path).verdict == "sound"


def put_aside(made: Any, times: int = 1) -> tuple[Lab, list[str]]:
    """Events that empty the source, put aside by a decision, and their windows."""
    lab: Lab = made(envelope="debezium")
    lab.send(debezium("c", None, {"id": 1, "n": "a"}, 1))
    lab.cycle()
    for number in range(times):
        lab.send(debezium("t", None, None, 2 + number))
    with pytest.raises(SchemaBlockedError):
        lab.cycle()
    (incident,) = lab.metastore.incidents("t", "OPEN")
    use_cases(lab).resolve_incident(incident.id, Asked("quarantine"), "somebody")
    return lab, [*lab.load()[-1].windows]


def test_events_put_aside_by_a_decision_stop_no_table_however_many(made: Any) -> None:
    lab, windows = put_aside(made, 20)
    assert [q["reason"] for q in lab.quarantined()] == [EMPTIED] * 20
    lab.load(replay=windows)
    assert [q["reason"] for q in lab.quarantined()] == [EMPTIED] * 20
    assert lab.metastore.get("t").status is Status.LIVE


@pytest.mark.parametrize("reason", ["decided", DECIDED])
def test_what_an_older_release_put_aside_is_read_and_driven_in_again(
    made: Any, tmp_path: Path, reason: str
) -> None:
    """It gave a truncate the reason of a value of another type."""
    lab, _ = put_aside(made)
    (key,) = [o.key for o in lab.store.list("quarantine/")]
    old = gzip.decompress(lab.store.get(key)).replace(EMPTIED.encode(), DECIDED.encode())
    lab.store.delete([key])
    lab.store.put(key, gzip.compress(old))
    assert [q["reason"] for q in lab.quarantined()] == [DECIDED]
    assert audit(lab, tmp_path).verdict == "sound"
    again = Redrive("t", lab.ports(), lab.limits, wanted([reason]))
    assert [g.records for g in again.plan.groups] == [1]
    list(again.run())
    (fate,) = again.outcome.fates
    assert (fate.reason, fate.came_back, dict(fate.stayed)) == (DECIDED, 0, {EMPTIED: 1})
    assert [q["reason"] for q in lab.quarantined()] == [EMPTIED]
    assert audit(lab, tmp_path / "again").verdict == "sound"


def use_cases(lab: Lab) -> Any:
    from lake_platform.metastore.service import UseCases
    from lake_platform.sight.infer import look

    return UseCases(lab.metastore, lab.kafka, look)


def test_a_changelog_has_each_event_as_a_row(tmp_path: Path) -> None:
    lab = parquet_lab(tmp_path / "lab", source=None, envelope="debezium", mode="append")
    lab.send(debezium("c", None, {"id": 1, "n": "a"}, 1))
    lab.send(debezium("u", {"id": 1, "n": "a"}, {"id": 2, "n": "a"}, 2))
    lab.send(debezium("d", {"id": 2, "n": "a"}, None, 3))
    lab.send(debezium("d", None, None, 4), key='{"id":3}')
    lab.send(None, key='{"id":3}')
    lab.send(NO_ROW["heartbeat"])
    balance = lab.cycle()[-1].applied.balance
    assert (balance.written, balance.dropped, balance.difference) == (4, 2, 0)
    report = audit(lab, tmp_path)
    assert report.verdict == "sound", report.findings
    assert copy_of(lab, tmp_path / "cheap").audit(deep=False).verdict == "needs --deep"
    lab.close()


CONNECT = "org.apache.kafka.connect.data."
TIMES = "io.debezium.time."
TYPED: list[tuple[dict[str, Any], Any, str, Any]] = [
    ({"type": "int32", "name": f"{TIMES}Date"}, 20_000, "date", "2024-10-04"),
    ({"type": "int32", "name": f"{CONNECT}Date"}, -1, "date", "1969-12-31"),
    ({"type": "int64", "name": f"{TIMES}Timestamp"}, 1_500, "timestamp", 1_500),
    ({"type": "int64", "name": f"{CONNECT}Timestamp"}, -1, "timestamp", -1),
    ({"type": "int64", "name": f"{TIMES}MicroTimestamp"}, 1_500_001, "timestamp", 1_500),
    ({"type": "int64", "name": f"{TIMES}NanoTimestamp"}, 1_500_000_001, "timestamp", 1_500),
    (
        {"type": "string", "name": f"{TIMES}ZonedTimestamp"},
        "1970-01-01T00:00:01Z",
        "timestamp",
        1_000,
    ),
    ({"type": "int32", "name": f"{TIMES}Time"}, 3_600_000, "string", "01:00:00"),
    ({"type": "int64", "name": f"{TIMES}MicroTime"}, 1, "string", "00:00:00.000001"),
    (
        {
            "type": "bytes",
            "name": f"{CONNECT}Decimal",
            "parameters": {"scale": "2", "connect.decimal.precision": "10"},
        },
        "AJY=",
        "decimal(10,2)",
        1.5,
    ),
    (
        {
            "type": "bytes",
            "name": f"{CONNECT}Decimal",
            "parameters": {"scale": "2", "connect.decimal.precision": "10"},
        },
        "/w==",
        "decimal(10,2)",
        -0.01,
    ),
    (
        {"type": "struct", "name": "io.debezium.data.VariableScaleDecimal", "fields": []},
        {"scale": 3, "value": "AQ=="},
        "string",
        "0.001",
    ),
    ({"type": "double"}, 5, "double", 5.0),
    ({"type": "bytes"}, "AQI=", "binary", "AQI="),
    ({"type": "int64"}, 7, "long", 7),
    (
        {"type": "array", "items": {"type": "int32", "name": f"{TIMES}Date"}},
        [0, None],
        "array<date>",
        None,
    ),
]


@pytest.mark.parametrize(("schema", "value", "kind", "read"), TYPED)
def test_an_inline_schema_says_what_a_number_is(
    made: Any, schema: dict[str, Any], value: Any, kind: str, read: Any
) -> None:
    fields = [{"type": "int64", "field": "id"}, {**schema, "field": "x"}]
    images = [{"type": "struct", "field": f, "fields": fields} for f in ("before", "after")]

    def event(op: str, row: Row, lsn: int) -> Row:
        said = debezium(op, None, row, lsn) if op != "d" else debezium(op, row, None, lsn)
        return {"schema": {"type": "struct", "fields": images}, "payload": said}

    lab = made(envelope="debezium")
    lab.send(event("c", {"id": 1, "x": None}, 1))
    lab.send(event("c", {"id": 2, "x": value}, 2))
    lab.cycle()
    active = lab.metastore.active_schema("t")
    assert active is not None
    assert str(_type(active, "x")) == kind
    if read is not None:
        assert rows(lab)[1]["x"] == read
    lab.send(event("c", {"id": 3, "x": value}, 3))
    lab.send(event("d", {"id": 1, "x": value}, 4))
    lab.cycle()
    assert [r["id"] for r in rows(lab)] == [2, 3]
    assert lab.quarantined() == []
    said = event("c", {"id": 1, "x": value}, 1)
    mine = ChangeReader("debezium", changelog=False).read(said, None).row
    line = Opener(lab.dataset()).value(json.dumps(said).encode()).data
    assert mine == json.loads(line, parse_float=Decimal)


def test_a_column_that_comes_later_has_its_declared_type(made: Any) -> None:
    lab = made(envelope="debezium")

    def event(row: Row, *more: dict[str, Any]) -> Row:
        fields = [{"type": "int64", "field": "id"}, *more]
        image = {"type": "struct", "field": "after", "fields": fields}
        return {
            "schema": {"type": "struct", "fields": [image]},
            "payload": debezium("c", None, row),
        }

    lab.send(event({"id": 1}))
    lab.cycle()
    lab.send(
        event({"id": 2, "at": 5}, {"type": "int64", "name": f"{TIMES}Timestamp", "field": "at"})
    )
    lab.cycle()
    active = lab.metastore.active_schema("t")
    assert active is not None
    assert str(_type(active, "at")) == "timestamp"
    assert rows(lab)[1]["at"] == 5


def test_documents_of_mongodb(made: Any, tmp_path: Path) -> None:
    lab = made(envelope="debezium", primary_key=("_id",))
    oid = "596e275826f08b2730779e1f"

    def event(op: str, document: Row | None, lsn: int) -> Row:
        said = debezium(op, None, None, lsn)
        said["source"] = {"connector": "mongodb", "ts_ms": NOW + lsn, "ord": lsn}
        return said | {"after": None if document is None else json.dumps(document)}

    key = json.dumps({"id": json.dumps({"$oid": oid})})
    document = {
        "_id": {"$oid": oid},
        "n": {"$numberLong": "5"},
        "price": {"$numberDecimal": "1.10"},
        "at": {"$date": 1_500},
        "late": {"$date": {"$numberLong": "1500"}},
        "data": {"$binary": {"base64": "AQI=", "subType": "00"}},
        "tags": [{"$numberInt": "1"}],
        "sub": {"a": {"$numberDouble": "1.5"}, "ts": {"$timestamp": {"t": 1, "i": 2}}},
    }
    lab.send(event("c", document, 1), key=key)
    lab.cycle()
    (row,) = ({n: v for n, v in r.items() if not n.startswith("_s")} for r in lab.plain_rows())
    assert row == {
        "_id": oid,
        "n": 5,
        "price": 1.1,
        "at": "1970-01-01T00:00:01.500000Z",
        "late": "1970-01-01T00:00:01.500000Z",
        "data": "AQI=",
        "tags": [1],
        "sub": {"a": 1.5, "ts": {"dollar_timestamp": {"t": 1, "i": 2}}},
        "_op": "c",
    }
    assert audit(lab, tmp_path / "one").verdict == "sound"
    lab.send(event("u", None, 2), key=key)
    lab.send(event("d", None, 3), key=key)
    lab.send(None, key=key)
    lab.cycle()
    assert lab.plain_rows() == []
    assert [q["reason"] for q in lab.quarantined()] == ["a change event without the row after it"]
    assert audit(lab, tmp_path / "two").verdict == "sound"


@pytest.mark.parametrize(
    ("source", "order"),
    [
        ([{"connector": "postgresql", "lsn": n} for n in (9, 10, 100)], True),
        (
            [
                {"connector": "mysql", "file": f"b.{f}", "pos": p, "row": r}
                for f, p, r in (
                    ("000009", 99, 3),
                    ("000010", 9, 1),
                    ("000010", 9, 2),
                    ("000010", 10, 0),
                )
            ],
            True,
        ),
        (
            [
                {
                    "connector": "sqlserver",
                    "commit_lsn": "00000025:00000448:0003",
                    "change_lsn": c,
                    "event_serial_no": n,
                }
                for c, n in (
                    (None, 1),
                    ("00000025:00000448:0002", 1),
                    ("00000025:00000448:0002", 2),
                )
            ],
            True,
        ),
        ([{"connector": "oracle", "scn": str(n)} for n in (9, 10, 100)], True),
        (
            [{"connector": "mongodb", "ts_ms": t, "ord": o} for t, o in ((9, 9), (10, 1), (10, 2))],
            True,
        ),
        ([{"connector": "other", "ts_ms": n} for n in (9, 10)], True),
    ],
)
def test_positions_sort_as_the_log_of_the_source(source: list[Row], order: bool) -> None:
    from lake_platform.records.change.debezium import position_of

    found = [position_of(one) for one in source]
    assert (found == sorted(found) and len(set(found)) == len(found)) is order


def test_the_position_may_be_the_order(made: Any, tmp_path: Path) -> None:
    """A connector that starts again sends what it has sent before."""
    lab = made(envelope="debezium", ordering_field="_source_position")
    first = debezium("c", None, {"id": 1, "n": "a"}, 1)
    second = debezium("u", {"id": 1, "n": "a"}, {"id": 1, "n": "b"}, 2)
    for event in (first, second, first):
        lab.send(event)
        lab.cycle()
    assert rows(lab) == [{"id": 1, "n": "b"}]
    assert audit(lab, tmp_path).verdict == "sound"


def test_the_position_as_the_order_is_warned_of() -> None:
    dataset = Dataset(topic="a", table="t", envelope="debezium", ordering_field="_source_position")
    (told,) = advice(dataset, Struct((Field("_source_position", Scalar("string")),)))
    assert "begin anew" in told


def test_a_table_of_change_events_is_an_upsert() -> None:
    dataset = Dataset(topic="a", table="t", envelope="debezium")
    assert (dataset.mode, dataset.primary_key) == ("upsert", ())
    assert Dataset(topic="a", table="t", envelope="debezium", mode="append").mode == "append"
    assert Dataset(topic="a", table="t").mode == "append"


@pytest.mark.parametrize("topic", ["shop.transaction", "__debezium-heartbeat.shop"])
def test_topics_without_rows_are_refused(made: Any, topic: str) -> None:
    lab = made(envelope="debezium")
    lab.kafka.create_topic(topic, 1)
    wrong = Dataset(topic=topic, table="other", envelope="debezium")
    with pytest.raises(InvalidFieldError, match="no rows"):
        use_cases(lab).register_dataset(wrong, "somebody")


def test_the_keys_of_the_topic_are_the_key_of_the_table(made: Any) -> None:
    lab = made(envelope="debezium")
    lab.kafka.create_topic("keyed", 1)
    wrapped_key = b'{"schema":{"type":"struct","fields":[]},"payload":{"b":1,"a":"x"}}'
    value = json.dumps(debezium("c", None, {"a": "x", "b": 1, "n": "n"})).encode()
    lab.kafka.produce("keyed", None, json.dumps(NO_ROW["heartbeat"]).encode())
    lab.kafka.produce("keyed", wrapped_key, value)
    cases = use_cases(lab)
    definition = Dataset(topic="keyed", table="other", envelope="debezium")
    done = cases.register_dataset(definition, "somebody")
    assert done.record.dataset.primary_key == ("b", "a")
    assert not cases.check(definition)  # as code: the key it was registered with
    lab.kafka.create_topic("unkeyed", 1)
    lab.kafka.produce("unkeyed", b"7", value)
    with pytest.raises(InvalidFieldError, match="name its columns"):
        cases.register_dataset(replace(definition, topic="unkeyed", table="t3"), "somebody")


def test_a_rebuild_keeps_the_rows_and_what_the_envelope_said(made: Any, tmp_path: Path) -> None:
    lab = made(envelope="debezium")
    lab.send(debezium("c", None, {"id": 1, "Name": "a"}, 1))
    lab.send(debezium("c", None, {"id": 2, "Name": "b"}, 2))
    lab.cycle()
    lab.send(debezium("d", {"id": 1}, None, 3))
    lab.send(debezium("u", {"id": 2, "Name": "b"}, {"id": 3, "Name": "c"}, 4))
    lab.cycle()
    before = lab.plain_rows()
    work = Rebuilder(lab.metastore, lab.ports(), lab.limits)
    work.begin("t", {"columns": {"Name": {"name": "n"}}}, "somebody")
    list(work.build("t"))
    work.swap("t")
    (row,) = lab.plain_rows()
    (old,) = before
    assert row == {**{k: v for k, v in old.items() if k != "Name"}, "n": "c"}
    assert audit(lab, tmp_path).verdict == "sound"


def test_what_was_left_out_is_never_written(made: Any, tmp_path: Path) -> None:
    """As arrays of numbers and as digits, too; of GoldenGate what an update has not."""
    lab = made(envelope="debezium")
    lab.send(debezium("c", None, {"id": 1, "n": "a", "l": [1]}))
    placeholder = b"__debezium_unavailable_value"
    for value in (list(placeholder), placeholder.hex(), [[*placeholder]]):
        lab.send(debezium("u", None, {"id": 1, "n": "b", "l": value}))
    lab.cycle()
    assert [r["n"] for r in rows(lab)] == ["a"]
    assert len(lab.quarantined()) == 3
    assert audit(lab, tmp_path).verdict == "sound"
    gate = made(envelope="ogg")
    gate.send(ogg("c", None, {"id": 1, "n": "a"}))
    gate.send(ogg("u", {"id": 1, "n": "a"}, {"id": 1}))
    gate.send(ogg("u", {"id": 1}, {}))
    gate.cycle()
    assert [r["n"] for r in rows(gate)] == ["a"]
    assert len(gate.quarantined()) == 2


CANAL_NUMBERS = [
    ("decimal(65,30)", "1.5", "string", "1.5"),
    ("decimal(10,2)", "1.50", "decimal(10,2)", 1.5),
    ("double", "5", "double", 5.0),
    ("bigint(20) unsigned", "5", "decimal(20,0)", 5),
    ("int(8) unsigned zerofill", "00000005", "long", 5),
    ("double", "1e400", "double", None),
    ("time", "-01:00:00", "string", "-01:00:00"),
]


@pytest.mark.parametrize(("mysql", "text", "kind", "read"), CANAL_NUMBERS)
def test_a_column_is_what_its_type_says_whatever_comes_first(
    made: Any, mysql: str, text: str, kind: str, read: Any
) -> None:
    lab = made(envelope="canal")
    first = canal("c", None, {"id": 1})
    types = {"id": "bigint", "x": mysql}
    lab.send(first | {"data": [{"id": "1", "x": text}], "mysqlType": types})
    lab.cycle()
    active = lab.metastore.active_schema("t")
    assert str(_type(active, "x")) == kind
    assert rows(lab)[0]["x"] == read


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-3_600_000_000, "-01:00:00"),
        (3_020_399_000_001, "838:59:59.000001"),
        (1, "00:00:00.000001"),
    ],
)
def test_times_of_day_are_text_beyond_a_day_too(made: Any, value: int, text: str) -> None:
    fields = [
        {"type": "int64", "field": "id"},
        {"type": "int64", "name": f"{TIMES}MicroTime", "field": "x"},
    ]
    images = [{"type": "struct", "field": "after", "fields": fields}]
    lab = made(envelope="debezium")
    for number in (value, 5):
        payload = debezium("c", None, {"id": number, "x": number})
        lab.send({"schema": {"type": "struct", "fields": images}, "payload": payload})
    lab.cycle()
    assert {r["id"]: r["x"] for r in rows(lab)} == {value: text, 5: "00:00:00.000005"}


def test_what_a_snapshot_reads_beside_the_log_is_older_than_all_of_it() -> None:
    from lake_platform.records.change.debezium import position_of

    for source in (
        {"connector": "mysql", "file": "", "pos": 0},
        {"connector": "postgresql", "lsn": None},
    ):
        later = {"file": "b.000001", "pos": 4} if source["connector"] == "mysql" else {"lsn": 1}
        assert position_of(source | {"ts_ms": NOW}) < position_of(source | later | {"ts_ms": NOW})


@pytest.mark.parametrize("kind", ["insert", "UPSERT", None])
def test_an_event_of_no_known_kind_is_put_aside(made: Any, kind: Any) -> None:
    lab = made(envelope="canal")
    lab.send(canal("c", None, {"id": 1}))
    lab.send(canal("c", None, {"id": 2}) | {"type": kind})
    lab.send(canal("c", None, {"id": 2}) | {"type": "ALTER", "isDdl": True, "data": None})
    balance = lab.cycle()[-1].applied.balance
    assert (balance.written, balance.quarantined, balance.dropped) == (1, 1, 1)


def test_auto_takes_for_events_what_is_one(made: Any, tmp_path: Path) -> None:
    lab = made(envelope="auto")
    plain = [
        {"id": 1, "schema": "x", "payload": {"a": 1}},
        {"id": 2, "op": "u", "source": "app", "ts_ms": 1},
        {"id": 3, "data": [{"a": 1}], "type": "x", "table": "t", "database": "d", "ts": 1},
    ]
    lab.send_all([*plain, NO_ROW["its end"], NO_ROW["heartbeat"], NO_ROW["change of a schema"]])
    balance = lab.cycle()[-1].applied.balance
    assert (balance.written, balance.dropped, balance.quarantined) == (3, 3, 0)
    assert audit(lab, tmp_path).verdict == "sound"


def test_deletes_of_dms_are_found_in_the_image_before(made: Any) -> None:
    lab = made(envelope="dms")
    lab.send(dms("c", None, {"id": 1, "n": "a"}))
    lab.send(dms("d", {"id": 1}) | {"data": {}, "before-image": {"id": 1}})
    lab.cycle()
    assert rows(lab) == []


def test_the_key_of_documents_is_their_id(made: Any) -> None:
    lab = made(envelope="debezium")
    lab.kafka.create_topic("documents", 1)
    value = debezium("c", None, None) | {
        "after": '{"_id":{"$oid":"a"},"n":{"$numberDecimal":"1E+6144"}}'
    }
    key = json.dumps({"id": '{"$oid":"a"}'}).encode()
    lab.kafka.produce("documents", key, json.dumps(value).encode())
    definition = Dataset(topic="documents", table="other", envelope="debezium")
    done = use_cases(lab).register_dataset(definition, "somebody")
    assert done.record.dataset.primary_key == ("_id",)
    assert done.schema is not None
    assert str(_type(done.schema, "n")) == "string"  # no double has it


@pytest.mark.parametrize("envelope", ["debezium", "canal", "maxwell", "ogg", "dms"])
def test_plain_records_under_an_envelope_name_it(made: Any, envelope: str) -> None:
    lab = made(envelope=envelope, max_quarantine_ratio=0.1)
    for n in range(20):
        lab.send({"id": n, "n": "a"}, reason="")
    lab.dump()
    with pytest.raises(QuarantineRatioError, match="envelope is wrong for this topic") as caught:
        lab.load()
    assert "retire this one" in str(caught.value)
