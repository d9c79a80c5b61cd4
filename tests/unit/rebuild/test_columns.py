"""The columns of a rebuilt table: names stay, hints change what they speak of, and the rows are
those of a table that was built so from the start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lake_platform.domain.decisions import Decision
from lake_platform.errors import InvalidFieldError, SchemaBlockedError
from lake_platform.metastore.incident import Outcome
from lake_platform.rebuild.rebuild import Rebuilder
from tests.support import Lab

RECORDS: list[dict[str, Any]] = [
    {"id": 1, "Name": "a", "x-y": 1, "o": {"k": 1, "m": "t"}, "l": [{"n": 1}], "at": 1000},
    {"id": 2, "name": "b", "x y": 2, "o": {"k": 2}, "l": [{"n": 2, "p": 3}], "at": 2000},
    {"id": 3, "o": {"k": 3, "m": "u"}, "tags": {"a1": 1, "b2": 2}},
]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def rebuild(lab: Lab, changes: dict[str, Any]) -> None:
    work = Rebuilder(lab.metastore, lab.ports(), lab.limits)
    work.begin("t", changes, "ops")
    for _ in work.build("t"):
        pass
    work.swap("t")


HINTS: list[dict[str, dict[str, Any]]] = [
    {"id": {"type": "string"}},
    {"Name": {"name": "title"}},
    {'"x-y"': {"type": "double"}},
    {"o.k": {"type": "string"}},
    {"o": {"type": "json"}},
    {"l[].n": {"type": "string"}},
    {"l": {"type": "json"}},
    {"tags": {"type": "map", "values": "string"}},
    {"at": {"type": "timestamp", "format": "ms"}},
    {"l": {"drop": True}},
    {"id": {"aliases": ["x-y"]}},
    {"o": {"type": "array", "values": "json"}},
]


@pytest.mark.parametrize("hints", HINTS, ids=str)
def test_the_rows_are_those_of_a_table_with_the_hint_from_the_start(
    lab: Lab, hints: dict[str, dict[str, Any]]
) -> None:
    lab.register(on_conflict="rescue")
    lab.register("fresh", on_conflict="rescue", columns=hints)
    for table in ("t", "fresh"):
        lab.send_all(RECORDS, table=table)
        lab.cycle(table)
    rebuild(lab, {f"columns.{path}": hint for path, hint in hints.items()})
    assert lab.plain_rows() == lab.plain_rows("fresh")
    for table in ("t", "fresh"):
        lab.send_all(RECORDS, table=table)
        lab.cycle(table)
    assert lab.plain_rows() == lab.plain_rows("fresh")


def test_names_that_were_given_stay(lab: Lab) -> None:
    """At first sight of all records `x y` would have the plain name: it is the smaller by bytes."""
    lab.register()
    lab.send({"id": 1, "x-y": 1})
    lab.cycle()
    lab.send({"id": 2, "x y": 2})
    lab.cycle()
    names = set(lab.plain_rows()[1])
    rebuild(lab, {"columns.id": {"type": "string"}})
    rows = lab.plain_rows()
    assert set(rows[1]) == names
    assert rows[0]["x_y"] == 1
    lab.account()


def test_names_in_lower_case_are_made_anew(lab: Lab) -> None:
    lab.register()
    lab.send({"Id": 1, "Name": "a"})
    lab.cycle()
    rebuild(lab, {"names": "lower"})
    assert lab.plain_rows() == [{"id": 1, "name": "a"}]
    lab.account()


def test_who_looks_at_the_schema_sees_where_columns_come_from(lab: Lab) -> None:
    lab.register()
    lab.send({"id": 1, "x-y": 1})
    lab.cycle()
    rebuild(lab, {'columns."x-y"': {"type": "string"}})
    told = {m.path: (version, m.column, m.type) for version, m in lab.metastore.mapping("t")}
    assert told["x-y",] == (2, "x_y", "string")
    assert told["id",] == (1, "id", "long")


def test_what_fits_now_is_no_longer_rescued(lab: Lab) -> None:
    lab.register(on_conflict="rescue")
    lab.send({"id": 1, "v": 1, "w": 1})
    lab.cycle()
    lab.send({"id": 2, "v": "two", "w": 2})
    lab.cycle()
    assert "_rescued" in lab.plain_rows()[1]
    rebuild(lab, {"columns.v": {"type": "string"}})
    assert lab.plain_rows() == [{"id": 1, "v": "1", "w": 1}, {"id": 2, "v": "two", "w": 2}]
    lab.send({"id": 3, "v": 3, "w": "three"})
    lab.cycle()
    assert lab.plain_rows()[2]["_rescued"] == '{"/w":"three"}'
    lab.account()


def test_what_an_operator_decided_holds_in_the_rebuilt_table(lab: Lab) -> None:
    lab.register()
    lab.send({"id": 1, "v": 1, "w": 1})
    lab.cycle()
    lab.send({"id": 2, "v": "two", "w": 2})
    with pytest.raises(SchemaBlockedError):
        lab.cycle()
    (incident,) = lab.metastore.incidents("t")
    lab.metastore.settle(incident.id, Outcome("rescue", [Decision("v", "rescue", 2, 2)]), "ops")
    lab.load()
    rows = [(r["id"], r["v"], r.get("_rescued")) for r in lab.plain_rows()]
    assert rows == [(1, 1, None), (2, None, '{"/v":"two"}')]
    rebuild(lab, {"mode": "upsert", "primary_key": ["id"]})
    assert [(r["id"], r["v"], r.get("_rescued")) for r in lab.plain_rows()] == rows
    rebuild(lab, {"columns.v": {"type": "string"}})
    assert [r["v"] for r in lab.plain_rows()] == ["1", "two"]
    assert "_rescued" not in lab.plain_rows()[1]


def test_a_resolution_that_changes_columns_waits_for_the_rebuild(lab: Lab) -> None:
    lab.register()
    lab.send({"id": 1, "v": 1})
    lab.cycle()
    lab.send({"id": 2, "v": "two"})
    with pytest.raises(SchemaBlockedError):
        lab.cycle()
    (incident,) = lab.metastore.incidents("t")
    work = Rebuilder(lab.metastore, lab.ports(), lab.limits)
    work.begin("t", {"columns.v": {"type": "string"}}, "ops")
    with pytest.raises(InvalidFieldError, match="is being rebuilt; end that first"):
        lab.metastore.settle(incident.id, Outcome("drop", columns={"v": {"drop": True}}), "ops")
    list(work.build("t"))
    work.swap("t")
    assert [r["v"] for r in lab.plain_rows()] == ["1", "two"]
