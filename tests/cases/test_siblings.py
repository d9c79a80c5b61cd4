"""The tables of siblings_values.py, run as the cases are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cases.runner import Open, Tried, text, value
from tests.cases.siblings_values import (
    CONFLICTS,
    FOLDERS,
    HUDI,
    MIXES,
    QUICK_WIDENINGS,
    SPELLINGS,
    WIDENINGS,
    Conflict,
    Folders,
    Mix,
    Spelling,
    Widening,
)
from tests.sampling import sampled


def _held_back(one: Tried, path: str, bad: str) -> bool:
    """Whether the record `bad` alone is kept out: BLOCKED with an incident that names `path` and
    shows the record, or in quarantine byte for byte."""
    step = one.trial.steps[-1]
    if step.outcome == "waiting":
        (incident,) = one.incidents()
        assert path in [change["path"] for change in incident.changes]
        assert json.loads(bad) in [sample["value"] for sample in incident.samples]
        return True
    assert step.outcome == "applied", step.error
    assert step.balance.difference == 0
    return bad in [r["value_text"] for r in one.quarantine()]


@pytest.mark.parametrize("case", CONFLICTS, ids=lambda c: c.name)
def test_conflict_is_held_back(tried: Open, case: Conflict) -> None:
    one = tried(**case.layout)
    first = f'{{"id":1,"v":{case.good}}}'
    bad = f'{{"id":2,"v":{case.bad}}}'
    one.load(text(first))
    versions = len(one.trial.bench.metastore.schema_versions("t"))
    step = one.batch([text(bad), text(f'{{"id":3,"v":{case.good}}}')])
    assert step is not None
    assert _held_back(one, case.path, bad)
    blocked = step.outcome == "waiting"
    rows = {row["id"]: row.get("v") for row in one.rows()}
    good = json.loads(case.good)
    assert rows == ({1: good} if blocked else {1: good, 3: good})
    if blocked:  # nothing goes on record before the write that needs it
        assert len(one.trial.bench.metastore.schema_versions("t")) == versions


@pytest.mark.parametrize("new", [False, True], ids=["first", "live"])
@pytest.mark.parametrize(
    "case", sampled(MIXES, *(m for m in MIXES if m.layout != HUDI)), ids=lambda c: c.name
)
def test_values_of_several_types_are_seen_together(tried: Open, case: Mix, new: bool) -> None:
    """At the first sight of a table and of a column: read back by two engines."""
    one = tried(**case.layout)
    if new:
        one.load(value(id=0))
    step = one.batch([text(f'{{"id":{n + 1},"v":{v}}}') for n, v in enumerate(case.texts)])
    assert step is not None, one.refused
    assert step.outcome == "applied", step.error
    schema = one.trial.schema
    assert schema is not None
    (kind,) = (str(f.type) for f in schema.source.fields if f.name == "v")
    assert kind == case.kind
    right = {n + 1: v for n, v in enumerate(case.right)}
    found = one.rows()
    assert {row["id"]: row.get("v") for row in found if row["id"]} == right
    shown = one.spark_frame().where("id > 0").selectExpr("id", "to_json(struct(v)) AS v").collect()
    in_spark = {row["id"]: json.loads(row["v"], parse_int=str).get("v") for row in shown}
    assert {n: _texts(v) for n, v in in_spark.items()} == {n: _texts(v) for n, v in right.items()}


def _texts(value: Any) -> Any:
    """Numbers as text, and without what is null, which Spark's to_json leaves out."""
    if isinstance(value, dict):
        return {k: _texts(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_texts(v) for v in value]
    return None if value is None else str(value)


@pytest.mark.parametrize("case", SPELLINGS, ids=lambda c: f"{c.kind}-{c.text or 'empty'}")
def test_spelling_is_read_right_or_held_back(tried: Open, case: Spelling) -> None:
    one = tried(**case.layout)
    one.load(value(id=1))
    assert one.act("add_column", name="at", type=case.kind).outcome == "done"
    bad = json.dumps({"id": 2, "at": case.text})
    step = one.batch([text(bad), value(id=3)])
    assert step is not None
    rows = {row["id"]: row.get("at") for row in one.rows()}
    if 2 in rows:
        assert rows == {1: None, 2: case.right, 3: None}
        assert case.right is not None
        shown = one.spark_frame().where("id = 2").selectExpr("cast(at AS string) AS at").collect()
        assert shown[0]["at"] == _as_spark(case)
    else:
        assert not case.must, step.error
        assert _held_back(one, "at", bad)


def _as_spark(case: Spelling) -> str:
    """Spark leaves zeros at the end of a fraction out."""
    shown = str(case.right)
    if case.kind == "date":
        return shown
    whole, _, fraction = shown.replace("T", " ").removesuffix("Z").partition(".")
    return f"{whole}.{fraction.rstrip('0')}" if fraction else whole


@pytest.mark.parametrize("case", FOLDERS, ids=lambda c: c.name)
def test_partition_values_come_back_as_sent(tried: Open, case: Folders) -> None:
    one = tried(**case.layout, partition_by=["p"])
    records = [value(id=n, p=p) for n, p in enumerate(case.values, 1)]
    step = one.batch(records)
    if step is None or step.balance.quarantined:
        # Null is refused at registration, or quarantined; nothing else is.
        assert None in case.values
        return
    assert step.outcome == "applied", step.error
    right: dict[int, Any] = dict(enumerate(case.values, 1))
    for _ in range(2):
        assert {row["id"]: row["p"] for row in one.rows()} == right
        assert {row["id"]: row["p"] for row in one.spark_frame().collect()} == right
        if one.trial.dataset.format == "parquet":
            found = dict(one.duck("SELECT id, p FROM t"))
            assert {n: _as_text(p) for n, p in found.items()} == {
                n: _as_text(p) for n, p in right.items()
            }
        one.replay()


def _as_text(found: Any) -> str | None:
    """DuckDB gives what is in the path only as text, of whatever type it is."""
    return None if found is None else str(found).lower() if isinstance(found, bool) else str(found)


@pytest.mark.parametrize("case", sampled(WIDENINGS, *QUICK_WIDENINGS), ids=lambda c: c.name)
def test_column_widens_by_data(tried: Open, case: Widening) -> None:
    one = tried(**case.layout)
    one.load(value(id=1))
    assert one.act("add_column", name="v", type=case.kind).outcome == "done"
    one.load(text(f'{{"id":2,"v":{case.before}}}'))
    one.load(text(f'{{"id":3,"v":{case.after}}}'))
    right = {1: None, 2: case.right[0], 3: case.right[1]}
    for _ in range(2):
        assert {row["id"]: row["v"] for row in one.rows()} == right
        frame = one.spark_frame()
        assert dict(frame.dtypes)["v"] == case.spark_type
        read = {row["id"]: row["v"] for row in frame.collect()}
        assert {n: None if v is None else str(v) for n, v in read.items()} == {
            n: None if v is None else str(v) for n, v in right.items()
        }
        if one.trial.dataset.format == "parquet":
            assert one.duck("SELECT count(v), count(*) FROM t") == [(2, 3)]
        one.replay()


@pytest.mark.parametrize(
    ("before", "after", "spark_type"), [("INT", "BIGINT", "bigint"), ("FLOAT", "DOUBLE", "double")]
)
def test_step_that_widens_its_column(tried: Open, before: str, after: str, spark_type: str) -> None:
    def steps(kind: str) -> list[dict[str, str]]:
        return [{"sql": f"SELECT id, CAST(v AS {kind}) AS v FROM input"}]

    one = tried(format="parquet", transforms=steps(before))
    one.load(value(id=1, v=5))
    assert one.act("change", fields={"transforms": steps(after)}).outcome == "done"
    one.load(value(id=2, v=3_000_000_000))
    assert {row["id"]: row["v"] for row in one.rows()} == {1: 5, 2: 3_000_000_000}
    frame = one.spark_frame()
    assert dict(frame.dtypes)["v"] == spark_type
    assert sorted(row["v"] for row in frame.collect()) == [5, 3_000_000_000]
