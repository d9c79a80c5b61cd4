"""Columns that are widened, renamed, or get another key of the records."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lake_platform import compose
from lake_platform.domain.schema import Array, Decimal, Field, Map, Scalar, Struct
from lake_platform.errors import InvalidFieldError
from lake_platform.metastore.service import UseCases
from lake_platform.rebuild.altering import alter
from lake_platform.rebuild.rebuild import Rebuilder
from tests.support import Lab

INT = Scalar("int")
SOURCE = Struct((
    Field("id", Scalar("long")), Field("n", INT), Field("f", Scalar("float")),
    Field("d", Decimal(5, 2)), Field("o", Struct((Field("x", INT), Field("y", Scalar("string"))))),
    Field("a", Array(INT)), Field("m", Map(INT)),
    Field("items", Array(Struct((Field("q", INT),)))),
))  # fmt: skip
ONE = {
    "id": 1, "n": 1, "f": 0.5, "d": 1.25, "o": {"x": 1, "y": "a"}, "a": [1], "m": {"k": 1},
    "items": [{"q": 1}],
}  # fmt: skip


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def use_cases(lab: Lab) -> UseCases:
    return compose.build_use_cases(lab.metastore, lab.kafka)


def rename(lab: Lab, column: str, name: str) -> None:
    asked = use_cases(lab).renaming("t", column, name)
    assert not asked.in_place
    list(alter(use_cases(lab), Rebuilder(lab.metastore, lab.ports(), lab.limits), asked, "ops"))


def alias(lab: Lab, column: str, key: str) -> bool:
    """Whether it was a rebuild."""
    asked = use_cases(lab).aliasing("t", column, key)
    work = Rebuilder(lab.metastore, lab.ports(), lab.limits)
    return bool(list(alter(use_cases(lab), work, asked, "ops")))


def loaded(lab: Lab, *records: dict[str, Any], **options: Any) -> None:
    lab.register(**options)
    lab.send_all(records)
    lab.cycle()


WIDER: dict[str, tuple[str, dict[str, Any]]] = {
    "n": ("long", {"n": 2**40}),
    "f": ("double", {"f": 1e300}),
    "d": ("decimal(9,4)", {"d": 12345.1234}),
    "o.x": ("long", {"o": {"x": 2**40}}),
    "a[]": ("long", {"a": [2**40]}),
    "m{}": ("long", {"m": {"k": 2**40}}),
    "items[].q": ("long", {"items": [{"q": 2**40}]}),
}


@pytest.mark.parametrize("column", WIDER)
def test_the_next_batch_has_the_wider_type(lab: Lab, column: str) -> None:
    kind, larger = WIDER[column]
    lab.register(source=SOURCE)
    lab.send(ONE)
    lab.cycle()
    version = use_cases(lab).widen_column("t", column, kind, "ann")
    assert version.changes[0].startswith(f"column {column}: ")
    assert (version.version, version.actor) == (2, "ann")
    lab.send({"id": 2, **larger})
    (done,) = lab.cycle()
    assert (done.schema_version, done.changes) == (2, ())
    lab.account()
    assert "schema_version" in {entry.action for entry in lab.metastore.audit_log("t")}


def test_a_hint_goes_along_with_the_type(lab: Lab) -> None:
    hints = {"n": {"type": "int", "aliases": ["N2"]}, "l": {"type": "array", "values": "int"}}
    loaded(lab, {"n": 1, "l": [1]}, columns=hints)
    use_cases(lab).widen_column("t", "n", "long", "ann")
    use_cases(lab).widen_column("t", "l[]", "long", "ann")
    assert lab.dataset().columns == {
        "n": {"type": "long", "aliases": ["N2"]}, "l": {"type": "array", "values": "long"},
    }  # fmt: skip
    lab.send({"N2": 2**40, "l": [2**40]})
    lab.cycle()
    assert [r["n"] for r in lab.plain_rows()] == [1, 2**40]


NOT_WIDER = [
    ("n", "double", "column n is int, and only int becomes long"),
    ("n", "string", "column n is int"),
    ("id", "int", "column id is long"),
    ("m{}", "double", "column m{} is int"),
    ("a[]", "json", "column a[] is int"),
]


@pytest.mark.parametrize(("column", "kind", "said"), NOT_WIDER)
def test_what_is_no_such_widening_names_a_rebuild_that_works(
    lab: Lab, column: str, kind: str, said: str
) -> None:
    lab.register(source=SOURCE)
    lab.send(ONE)
    lab.cycle()
    with pytest.raises(InvalidFieldError) as refused:
        use_cases(lab).widen_column("t", column, kind, "ann")
    assert said in str(refused.value)
    found = re.search(r"lake (rebuild t --change .*)", str(refused.value))
    assert found
    name, _, value = shlex.split(found[1])[3].partition("=")
    rebuilt(lab, {name: json.loads(value)})
    active = lab.metastore.active_schema("t")
    assert active is not None
    assert kind in str(active.source)
    lab.account()


def rebuilt(lab: Lab, changes: dict[str, Any]) -> None:
    work = Rebuilder(lab.metastore, lab.ports(), lab.limits)
    work.begin("t", changes, "ops")
    list(work.build("t"))
    work.swap("t")


def test_a_key_is_widened_by_a_rebuild_only(lab: Lab) -> None:
    lab.register(source=SOURCE, mode="upsert", primary_key=("n",))
    with pytest.raises(InvalidFieldError, match=r"a key, partition or.*lake rebuild"):
        use_cases(lab).widen_column("t", "n", "long", "ann")


@pytest.mark.parametrize(
    ("column", "kind", "said"),
    [
        ("zz", "long", "column='zz': no such column; columns are: id, n, f"),
        ("n[]", "long", "no such column"),
        ("a{}", "long", "no such column"),
        ("n", "bigint", "type='bigint': not a column type"),
        ("n", "int", "column n has it"),
        ("", "int", "no such column"),
    ],
)
def test_what_cannot_be_widened(lab: Lab, column: str, kind: str, said: str) -> None:
    lab.register(source=SOURCE)
    with pytest.raises(InvalidFieldError, match=re.escape(said)):
        use_cases(lab).widen_column("t", column, kind, "ann")
    assert len(lab.metastore.schema_versions("t")) == 1


def test_a_renamed_column_has_its_new_name_in_all_rows(lab: Lab) -> None:
    loaded(lab, {"id": 1, "v": "a", "o": {"k": 1}}, {"id": 2, "v": "b"})
    rename(lab, "v", "title")
    rename(lab, "o.k", "count")
    lab.send({"id": 3, "v": "c", "o": {"k": 3}})
    lab.cycle()
    assert [(r["id"], r["title"]) for r in lab.plain_rows()] == [(1, "a"), (2, "b"), (3, "c")]
    assert [r["o"] for r in lab.plain_rows()] == [{"count": 1}, None, {"count": 3}]
    assert "v" not in lab.plain_rows()[0]
    lab.account()


def test_what_names_the_column_goes_along(lab: Lab) -> None:
    loaded(
        lab, {"id": 1, "at": 1, "v": "a", "o": {"k": 1}}, mode="upsert", primary_key=("id",),
        ordering_field="at", rules=(),
        columns={"id": {"type": "long", "aliases": ["ID2"]}},
    )  # fmt: skip
    lab.metastore.update(
        "t", {"rules": [{"column": "o.k", "min": 0}, {"column": "id", "not_null": True}]}, 1, "x"
    )
    rename(lab, "id", "customer")
    rename(lab, "at", "changed_at")
    rename(lab, "o", "order")
    now = lab.dataset()
    assert (now.primary_key, now.ordering_field) == (("customer",), "changed_at")
    assert [r.column for r in now.rules] == ["order.k", "customer"]
    assert now.columns["id"] == {"type": "long", "aliases": ["ID2"], "name": "customer"}
    lab.send({"ID2": 1, "at": 2, "v": "b"})
    lab.cycle()
    assert [(r["customer"], r["v"]) for r in lab.plain_rows()] == [(1, "b")]


@pytest.mark.parametrize(
    ("column", "name", "said"),
    [
        ("zz", "a", "no such column; columns are: id, v"),
        ("v", "v", "the column has it"),
        ("v", "ID", "there is another column id long (case does not count)"),
        ("o.k", "M", "there is another column o.m string"),
        ("v", "1x", "not usable as a name"),
        ("v", "_kafka_x", "a name of ours"),
        ("v", "", "not usable as a name"),
    ],
)
def test_names_that_cannot_be(lab: Lab, column: str, name: str, said: str) -> None:
    loaded(lab, {"id": 1, "v": "a", "o": {"k": 1, "m": "x"}})
    with pytest.raises(InvalidFieldError, match=re.escape(said)):
        rename(lab, column, name)
    assert lab.metastore.rebuild("t") is None


def test_sql_that_names_the_column_is_said_anew(lab: Lab) -> None:
    fields = (Field("id", INT), Field("v", Scalar("string")))
    lab.register(source=Struct(fields), mode="upsert", primary_key=("id",), delete_when="v = 'x'")
    with pytest.raises(InvalidFieldError, match=r"names v; .*--change delete_when="):
        use_cases(lab).renaming("t", "v", "title")
    assert use_cases(lab).renaming("t", "id", "vv").changes["primary_key"] == ["vv"]


def test_a_key_that_no_row_has_is_an_alias_at_once(lab: Lab) -> None:
    loaded(lab, {"customer_id": 1, "o": {"k": 1}}, mode="upsert", primary_key=("customer_id",))
    assert not alias(lab, "customer_id", "customerId2")
    assert not alias(lab, "o.k", "kk")
    assert not alias(lab, "customer_id", "customerId2")
    lab.send({"customerId2": 2, "o": {"kk": 2}})
    lab.cycle()
    rows = [(r["customer_id"], r["o"]) for r in lab.plain_rows()]
    assert rows == [(1, {"k": 1}), (2, {"k": 2})]
    assert not alias(lab, "customer_id", "customerId2")
    assert lab.dataset().columns["customer_id"] == {"aliases": ["customerId2"]}


def test_a_key_that_got_a_column_of_its_own_goes_back_by_a_rebuild(lab: Lab) -> None:
    loaded(lab, {"id": 1, "customer_id": 7})
    lab.send_all([{"id": 2, "customerId2": 8}, {"id": 3, "customerId2": 9, "customer_id": 9}])
    lab.cycle()
    assert lab.plain_rows()[1] == {"id": 2, "customer_id": None, "customerId2": 8}
    assert alias(lab, "customer_id", "customerId2")
    lab.send({"id": 4, "customerId2": 10})
    lab.cycle()
    rows = [(r["id"], r["customer_id"]) for r in lab.plain_rows()]
    assert rows == [(1, 7), (2, 8), (3, 9), (4, 10)]
    assert not any("customerId2" in r for r in lab.plain_rows())
    lab.load(replay=["2026-11-01-00:00"])
    assert [(r["id"], r["customer_id"]) for r in lab.plain_rows()] == rows
    lab.account()


def test_records_that_lacked_their_key_wait_for_its_alias(lab: Lab) -> None:
    loaded(lab, {"id": 1}, mode="upsert", primary_key=("id",), max_quarantine_ratio=1.0)
    lab.send({"ident": 2})
    lab.cycle()
    assert len(lab.quarantined()) == 1
    alias(lab, "id", "ident")
    lab.load(replay=["2026-11-01-00:00"])
    assert [r["id"] for r in lab.plain_rows()] == [1, 2]
    assert lab.quarantined() == []


def test_a_dropped_key_comes_with_its_rows(lab: Lab) -> None:
    loaded(lab, {"id": 1, "a": 1})
    lab.send({"id": 2, "b": 2})
    lab.cycle()
    use_cases(lab).drop_column("t", "b", "ops")
    lab.send({"id": 3, "b": 3})
    lab.cycle()
    assert alias(lab, "a", "b")
    assert [r["a"] for r in lab.plain_rows()] == [1, 2, 3]
    assert lab.dataset().columns == {"a": {"aliases": ["b"]}}


@pytest.mark.parametrize(
    ("column", "key", "said"),
    [
        ("zz", "a", "no such column"),
        ("v", "v", "empty or the column's own"),
        ("v", "", "empty or the column's own"),
        ("v", "id", "it is that of id, a key, partition or ordering column"),
        ("v", "W2", "it is another spelling of w; give w"),
    ],
)
def test_keys_that_cannot_be_aliases(lab: Lab, column: str, key: str, said: str) -> None:
    loaded(
        lab, {"id": 1, "v": "a", "w": 1}, mode="upsert", primary_key=("id",),
        columns={"w": {"aliases": ["W2"]}},
    )  # fmt: skip
    before = lab.dataset()
    with pytest.raises(InvalidFieldError, match=re.escape(said)):
        alias(lab, column, key)
    assert lab.dataset() == before


def test_behind_steps_names_are_theirs(lab: Lab) -> None:
    lab.register(source=SOURCE, explode="items")
    with pytest.raises(InvalidFieldError, match=r"what its steps make.*lake rebuild t --change"):
        use_cases(lab).renaming("t", "n", "m")


@pytest.mark.parametrize("wanted", ["decimal(6,3)", "decimal(38,3)"])
def test_a_decimal_with_more_digits_behind_the_point_gets_more_bytes(lab: Lab, wanted: str) -> None:
    """In as many bytes as before Hudi moves the point of rows that are there."""
    held = Decimal(5, 2) if wanted == "decimal(6,3)" else Decimal(37, 2)
    lab.register(source=Struct((Field("id", Scalar("long")), Field("d", held))))
    with pytest.raises(InvalidFieldError) as refused:
        use_cases(lab).widen_column("t", "d", wanted, "ops")
    if "give decimal(" in str(refused.value):
        remedy = str(refused.value).rsplit("give ", 1)[1]
        use_cases(lab).widen_column("t", "d", remedy, "ops")
    else:
        assert "as many digits behind the point" in str(refused.value)


def test_a_column_is_added_to_the_record_and_to_no_object(lab: Lab) -> None:
    lab.register(source=SOURCE)
    for inside in ("o.z", "items[].z"):
        with pytest.raises(InvalidFieldError, match="give the definition the hint"):
            use_cases(lab).add_column("t", inside, "long", "ops")
    use_cases(lab).add_column("t", "n.x", "long", "ops")  # a key with a dot, as any
