"""Columns made of the records: `_raw`, and what texts with JSON in them say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform.domain.resolutions import Asked
from lake_platform.domain.schema import columns
from lake_platform.errors import InvalidFieldError, SchemaBlockedError
from lake_platform.rebuild.rebuild import Rebuilder
from lake_platform.records.columns import arrow_fields
from tests.audit_support import Copy, RowReader, copy_of, parquet_lab
from tests.support import Lab
from tests.unit.audit.test_upsert import make

PARSE = {"parse": "json"}
Made = Any


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    labs: list[Lab] = []

    def make(**definition: Any) -> Lab:
        labs.append(parquet_lab(tmp_path / str(len(labs)), source=None, **definition))
        return labs[-1]

    yield make
    for lab in labs:
        lab.close()


def types(lab: Lab) -> dict[str, str]:
    active = lab.metastore.active_schema("t")
    assert active is not None
    found = ((path, str(kind)) for path, kind in columns(active.source))
    return {path: kind for path, kind in found if "struct" not in kind}


def rows(lab: Lab) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    files = sorted((lab.home / "storage" / "lake" / "t").rglob("*.parquet"))
    found = [row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()]
    kept = (
        {n: v for n, v in r.items() if not n.startswith("_kafka") and v is not None} for r in found
    )
    return sorted(kept, key=lambda row: row["id"])


def sound(lab: Lab, tmp_path: Path) -> None:
    copy = copy_of(lab, tmp_path / f"copy {lab.home.name} {len(list(tmp_path.iterdir()))}")
    for deep in (True, False):
        report = copy.audit(deep=deep)
        assert report.verdict == "sound", report.findings


def load(lab: Lab, *values: Any) -> list[Any]:
    for value in values:
        lab.send(value)
    return lab.cycle()


def test_a_text_with_json_has_typed_columns_beside_it(made: Made, tmp_path: Path) -> None:
    lab = made(columns={"p": PARSE})
    load(lab, {"id": 1, "p": '{"a":1}'}, {"id": 2, "p": '{"a":2.5,"l":[{"x":"y"}]}'}, {"id": 3})
    load(lab, {"id": 4, "p": '{"new":true}'}, {"id": 5, "p": '{"a":7}'})
    assert types(lab) == {
        "id": "long", "p": "string", "p_json.a": "double", "p_json.l[].x": "string",
        "p_json.new": "boolean",
    }  # fmt: skip
    assert rows(lab)[1]["p_json"]["l"] == [{"x": "y"}]
    assert rows(lab)[3]["p_json"]["new"] is True
    sound(lab, tmp_path)


def test_texts_that_are_no_json_are_rescued(made: Made, tmp_path: Path) -> None:
    lab = made(columns={"p": PARSE})
    load(lab, {"id": 1, "p": "no"}, {"id": 2, "p": '{"a":1}'}, {"id": 3, "p": ""})
    (done,) = load(lab, {"id": 4, "p": "[1"}, {"id": 5, "p": '{"a":2}'})
    assert done.rescued == {'"p json"': 1}
    said = {row["id"]: json.loads(row["_rescued"]) for row in rows(lab) if "_rescued" in row}
    assert said == {1: {"/p": "no"}, 4: {"/p": "[1"}}
    assert rows(lab)[3]["p"] == "[1"
    sound(lab, tmp_path)


def test_a_flood_of_them_stops_the_table_and_can_be_resolved(made: Made, tmp_path: Path) -> None:
    lab = made(columns={"p": PARSE})
    load(lab, {"id": 0, "p": '{"a":1}'})
    with pytest.raises(SchemaBlockedError, match="p json"):
        load(lab, *({"id": n, "p": f"no {n}"} for n in range(1, 120)))
    from lake_platform import compose

    (incident,) = lab.metastore.incidents("t", "OPEN")
    assert incident.samples or incident.changes
    compose.build_use_cases(lab.metastore, lab.kafka).resolve_incident(
        incident.id, Asked("rescue"), "ann"
    )
    lab.load()
    assert len(rows(lab)) == 120
    sound(lab, tmp_path)


def test_what_is_parsed_is_judged_as_any_column(made: Made, tmp_path: Path) -> None:
    lab = made(columns={"p": PARSE})
    load(lab, {"id": 1, "p": '{"a":1}'})
    with pytest.raises(SchemaBlockedError, match=r"p_json\.a"):
        load(lab, {"id": 2, "p": '{"a":"text"}'})
    (incident,) = lab.metastore.incidents("t", "OPEN")
    assert incident.samples[0]["value"]["p"] == '{"a":"text"}'
    other = made(columns={"p": PARSE}, on_conflict="rescue", keep_raw=True)
    load(other, {"id": 1, "p": '{"a":1}'})
    load(other, {"id": 2, "p": '{"a":"text"}'})
    assert json.loads(rows(other)[1]["_rescued"]) == {"/p json/a": "text"}
    sound(other, tmp_path)


HINTS: list[dict[str, Any]] = [
    {"p": PARSE, '"p json".at': {"type": "timestamp", "format": "ms"}},
    {"p": PARSE, '"p json"': {"name": "body"}},
    {"p": PARSE, '"p json"': {"type": "json"}},
    {"p": {"parse": "json", "drop": True}},
    {"p": {"parse": "json", "name": "text"}, '"p json".in': PARSE},
    {"o.p": PARSE, "l[].p": PARSE},
    {"m": {"type": "map"}, "m[].p": PARSE},
]
RECORDS: list[dict[str, Any]] = [
    {
        "id": 1,
        "p": '{"at":1000,"in":"{\\"deep\\":1}"}',
        "o": {"p": "[1,2]"},
        "m": {"k": {"p": "1"}},
    },
    {
        "id": 2,
        "p": '{"at":2000,"in":"nope"}',
        "o": {"p": "x"},
        "l": [{"p": '{"q":1}'}, {"p": "7 7"}],
    },
    {"id": 3, "p": None, "o": {"p": ""}, "l": [], "m": {"k": {"p": "no"}, "p": {"p": "2"}}},
    {"id": 4, "p": '{"at":3000,"in":"[]"}', "l": [{"p": '{"q":2}'}]},
]


@pytest.mark.parametrize("keep_raw", [True, False])
@pytest.mark.parametrize("hints", HINTS, ids=str)
def test_a_rebuild_with_the_hint_is_a_table_that_had_it_from_the_start(
    made: Made, tmp_path: Path, hints: dict[str, Any], keep_raw: bool
) -> None:
    first = made(columns=hints, keep_raw=keep_raw, on_conflict="rescue")
    later = made(columns=HINTS[-1] | {}, on_conflict="rescue") if hints is not HINTS[-1] else None
    for lab in filter(None, [first, later]):
        load(lab, *RECORDS[:2])
        load(lab, *RECORDS[2:])
        sound(lab, tmp_path)
    if later is not None:
        changes = {"columns": hints, "keep_raw": keep_raw}
        work = Rebuilder(later.metastore, later.ports(), later.limits)
        work.begin("t", changes, "ops")
        for _ in work.build("t"):
            pass
        work.swap("t")
        sound(later, tmp_path)
        assert sorted(map(repr, map(_plain, rows(later)))) == sorted(
            map(repr, map(_plain, rows(first)))
        )
    if keep_raw:
        assert [json.loads(row["_raw"]) for row in rows(first)] == RECORDS


def _plain(row: Any) -> Any:
    """Whatever the order of columns, and with what is nothing left out."""
    if isinstance(row, dict):
        return {k: p for k, v in sorted(row.items()) if (p := _plain(v)) not in (None, {}, [])}
    return [_plain(v) for v in row] if isinstance(row, list) else row


def test_the_record_as_it_came(made: Made, tmp_path: Path) -> None:
    lab = made(keep_raw=True)
    texts = [b'{ "id" : 1.0, "b":"\\u00e9" }', '{"id":2,"id":2,"b":"é\u2028\\n"}'.encode()]
    load(lab, *texts)
    load(lab, b'{"id":3,\r\n "(record)":"own", "_raw": "theirs"}')
    assert [row["_raw"].encode() for row in rows(lab)] == [
        *texts, b'{"id":3,   "(record)":"own", "_raw": "theirs"}',
    ]  # fmt: skip
    assert rows(lab)[2]["src_raw"] == "theirs"
    sound(lab, tmp_path)


def upserted(home: Path, **definition: Any) -> Copy:
    lab = make(home / "lab", source=None, **definition)
    load(lab, *RECORDS[:2])
    load(lab, *RECORDS[2:], {"id": 1, "p": '{"at":5}', "o": {"p": "1"}})
    active = lab.metastore.active_schema("t")
    assert active is not None
    reader = RowReader(lab, arrow_fields(active.source))
    return replace(copy_of(lab, home / "copy"), reader=reader)


# The first is of times: the table in memory has them as they came.
@pytest.mark.parametrize("hints", HINTS[1:], ids=str)
def test_an_upsert_table_is_audited_value_by_value(tmp_path: Path, hints: dict[str, Any]) -> None:
    copy = upserted(tmp_path, columns=hints, keep_raw=True, on_conflict="rescue")
    report = copy.audit()
    assert report.verdict == "sound", report.findings
    assert report.total.table == 4
    copy.lab.close()


def test_texts_that_look_like_nothing_are_no_rescued_values(tmp_path: Path) -> None:
    lab = make(tmp_path / "lab", source=None, on_conflict="rescue")
    values = ["[]", "{}", "", "null", "x", None]
    load(lab, *({"id": n, "a": v, "o": {"a": v}} for n, v in enumerate(values)), {"id": 9, "n": 1})
    load(lab, {"id": 9, "n": "rescued"}, {"id": 10, "a": [], "o": {"a": {}}})
    active = lab.metastore.active_schema("t")
    assert active is not None
    reader = RowReader(lab, arrow_fields(active.source))
    report = replace(copy_of(lab, tmp_path / "copy"), reader=reader).audit()
    assert report.verdict == "sound", report.findings
    lab.close()


@pytest.mark.parametrize("column", ["_raw", "p_json", "_rescued"])
def test_an_audit_finds_another_value(tmp_path: Path, column: str) -> None:
    copy = upserted(tmp_path, columns={"p": PARSE, "o.p": PARSE}, keep_raw=True)
    assert copy.reader is not None
    row = next(row for row in copy.reader.rows if row["id"] == 2)
    other = {"_raw": "{}", "_rescued": '{"/o/p":"y"}', "p_json": row["p_json"] | {"at": 1}}
    row[column] = other[column]
    report = copy.audit()
    assert (report.verdict, report.total.lost) == ("unsound", 1)
    copy.lab.close()


def test_a_live_table_is_made_anew_for_it(made: Made) -> None:
    from lake_platform import compose

    def change(lab: Lab, **fields: Any) -> None:
        use_cases = compose.build_use_cases(lab.metastore, lab.kafka)
        use_cases.change_dataset("t", fields, lab.metastore.get("t").version, "ann")

    lab = made(columns={"q": PARSE})
    load(lab, {"id": 1, "p": "1", "q": "1"})
    refused: list[dict[str, Any]] = [
        {"columns": {"p": PARSE, "q": PARSE}}, {"columns": {}}, {"keep_raw": True},
    ]  # fmt: skip
    for fields in refused:
        with pytest.raises(InvalidFieldError, match="lake rebuild t --change"):
            change(lab, **fields)
    change(lab, columns={"q": PARSE, "new": PARSE})  # no record has it so far
    load(lab, {"id": 2, "new": "[1]"})
    assert types(lab)["new_json"] == "array<long>"
