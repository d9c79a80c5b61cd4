"""What is said of a table's columns while it lives: registered, settled anew, grown."""

from __future__ import annotations

from typing import Any

import pytest

from lake_platform.compose import build_use_cases
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.mapping import shown
from lake_platform.errors import DatasetNotFoundError, SchemaVersionNotFoundError
from lake_platform.metastore.columns import compare, describe, export
from tests.support import Lab
from tests.unit.load.test_load import MakeLab, make_lab

__all__ = ["make_lab"]


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab()


def register(lab: Lab, *records: Any) -> None:
    """As a user does it, of a topic that has these records."""
    lab.kafka.create_topic("topic.t")
    lab.sent["t"] = []
    for record in records:
        lab.send(record)
    dataset = Dataset(topic="topic.t", table="t", format="parquet")
    build_use_cases(lab.metastore, lab.kafka).register_dataset(dataset, "ann")


def said(lab: Lab, version: int | None = None) -> dict[str, tuple[int, str, tuple[str, ...]]]:
    found = describe(lab.metastore, "t", version)
    assert found is not None
    return {shown(m.path): (v, m.type, m.rules) for v, m in found.lines}


ADDRESSES = {f"10.0.0.{n}": n for n in range(9)}


def test_what_the_first_load_settles_anew_replaces_what_was_said(lab: Lab) -> None:
    register(lab, {"id": 1, "by": {"a": 1}, "x": None, "o": {"p": None, "q": 1}})
    assert said(lab)["by.a"] == (1, "long", ())
    assert said(lab)["x"] == (1, "", ("pending",))
    lab.send({"id": 2, "by": ADDRESSES, "x": "now", "o": "text"})
    lab.cycle()
    now = said(lab)
    assert now["by"] == (1, "map<string,long>", ("map",))
    assert not [path for path in now if path.startswith(("by.", "o."))]
    assert now["x"] == (2, "string", ())
    assert now["o"] == (1, "json", ("json",))
    assert said(lab, 1)["by.a"] == (1, "long", ())
    assert said(lab, 1)["o.p"] == (1, "", ("pending",))
    assert [v.actor for v in lab.metastore.schema_versions("t")] == ["ann", "platform"]


def test_a_live_table_grows_and_keeps_its_rules(lab: Lab) -> None:
    register(lab, {"list": [{"a": 1}], "@x": 1, "none": None}, {"list": {"a": 2}})
    lab.cycle()
    before = said(lab)
    assert before["list"] == (1, "array<struct<a:long>>", ("wrap",))
    lab.send({"list": [{"a": 1, "b c": "new"}], "none": 5, "LIST": [{"a": 3}]})
    lab.cycle()
    now = said(lab)
    assert now["list"] == (1, "array<struct<a:long,b_c:string>>", ("wrap",))
    assert now['list[]."b c"'] == (2, "string", ("renamed",))
    assert now["LIST"] == (2, "array<struct<a:long,b_c:string>>", ("alias",))
    assert now["none"] == (2, "long", ())
    assert said(lab, 1) == before
    _, _, found = compare(lab.metastore, "t", 1)
    assert {(d.what, d.column) for d in found} == {
        ("added", "list[].b_c"), ("added", "none"), ("alias", "list"), ("added", "_rescued"),
    }  # fmt: skip
    assert export(lab.metastore, "t")[1] == {"list": {"aliases": ["LIST"]}}


def test_a_table_of_before_mappings_shows_its_columns(lab: Lab) -> None:
    lab.register()
    lab.send({"id": 1, "o": {"a": 1}})
    lab.cycle()
    with lab.metastore._write() as session:
        session.connection().exec_driver_sql("UPDATE schema_versions SET mapped = NULL, actor = ''")
    assert said(lab) == {
        "id": (1, "long", ()), "o": (1, "struct<a:long>", ()), "o.a": (1, "long", ()),
    }  # fmt: skip
    # What the rules would give now is not known.
    assert export(lab.metastore, "t")[1] == {"id": {"type": "long"}, "o.a": {"type": "long"}}


def test_tables_and_versions_that_are_not_there(lab: Lab) -> None:
    with pytest.raises(DatasetNotFoundError):
        describe(lab.metastore, "t")
    lab.register()
    assert describe(lab.metastore, "t") is None
    with pytest.raises(SchemaVersionNotFoundError, match="it has none: its topic is empty"):
        compare(lab.metastore, "t", 1)
    lab.send({"id": 1})
    lab.cycle()
    with pytest.raises(SchemaVersionNotFoundError, match="it has version 1 only"):
        describe(lab.metastore, "t", 2)
