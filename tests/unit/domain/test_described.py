"""What is said of each column: the schema's word for what is so, the mapping's for how it came."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.described import Line, described, in_force, renamed
from lake_platform.domain.exported import as_yaml, hints
from lake_platform.domain.mapping import Mapped, Path, Rule, shown
from lake_platform.domain.schema import JSON, Array, Field, Map, Scalar, Struct, Type

LONG, TEXT = Scalar("long"), Scalar("string")
DATASET = Dataset(topic="t", table="t")


def line(
    path: Path, column: str, kind: str, *rules: Rule, share: float | None = 1.0, version: int = 1
) -> Line:
    return version, Mapped(path, column, kind, rules, "because", share, "1")


def of(struct: Struct, *lines: Line, came: dict[str, int] | None = None) -> dict[str, Line]:
    return {shown(m.path): (v, m) for v, m in described(struct, lines, came)}


def test_columns_come_from_the_schema_and_rules_from_the_mapping() -> None:
    source = Struct((Field("at_x", LONG, key="@x"), Field("id", LONG, aliases=("ID",))))
    found = of(source, line(("@x",), "at_x", "int", "renamed"), came={"at_x": 1, "id": 2})
    assert list(found) == ['"@x"', "id", "ID"]
    _, at = found['"@x"']
    assert (at.column, at.type, at.rules, at.reason) == ("at_x", "long", ("renamed",), "because")
    version, added = found["id"]
    assert (version, added.rules, added.share) == (2, (), None)
    assert (found["ID"][0], found["ID"][1].column, found["ID"][1].rules) == (2, "id", ("alias",))


def test_a_column_that_grew_keeps_its_rule_and_one_made_anew_does_not() -> None:
    wrapped = line(("a",), "a", "array<struct<x:long>>", "wrap", share=0.5)
    grew = line(("a",), "a", "array<struct<x:long,y:long>>", share=None, version=3)
    [(version, kept)] = in_force([wrapped, grew]).values()
    assert (version, kept.rules, kept.share, kept.type) == (1, ("wrap",), 0.5, grew[1].type)
    anew = line(("a",), "a", "json", "json", share=0.7, version=2)
    assert list(in_force([wrapped, anew]).values()) == [anew]
    pending = line(("a",), "", "", "pending", share=0.1)
    assert list(in_force([pending, grew]).values()) == [grew]


def test_lines_of_what_is_no_more_are_left_out() -> None:
    """A registration saw a struct; with the first batch it is a map."""
    source = Struct((Field("labels", Map(TEXT)), Field("doc", JSON), Field("s", Struct())))
    lines = [
        line(("labels",), "labels", "map<string,string>", "map", version=2),
        line(("labels", "a"), "labels.a", "string"),
        line(("labels", "b"), "", "", "pending"),
        line(("doc", "x"), "", "", "pending"),
        line(("s", "p"), "", "", "pending"),
        line(("s", "p", "q"), "", "", "pending"),
        line(("list",), "", "", "pending"),
        line(("list", None), "", "", "pending"),
    ]
    assert list(of(source, *lines)) == ["labels", "doc", "s", "s.p", "s.p.q", "list", "list[]"]


def test_elements_are_shown_where_the_mapping_has_them() -> None:
    item = Struct((Field("sku", TEXT, key="s k u"),))
    source = Struct((Field("items", Array(item)),))
    assert list(of(source)) == ["items", 'items[]."s k u"']
    told = of(source, line(("items", None), "items[]", "x"))
    assert told["items[]"][1].type == str(item)
    assert told['items[]."s k u"'][1].column == "items[].sku"


def test_a_column_of_another_name_for_the_same_key_is_renamed() -> None:
    before = Struct((Field("a_b", Struct((Field("x_y", LONG, key="x y"),)), key="a.b"),))
    after = Struct((Field("a_b_0fcdfe", Struct((Field("x", LONG, key="x y"),)), key="a.b"),))
    assert renamed(before, after) == [("a_b", "a_b_0fcdfe"), ("a_b.x_y", "a_b_0fcdfe.x")]
    assert renamed(before, before) == []


def exported(source: Struct, *lines: Line, **fields: object) -> dict[str, object]:
    dataset = DATASET.with_changes(fields)
    told = [m for _, m in lines] or [m for _, m in described(source, ())]
    return dict(hints(dataset, source, told))


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ((Field("id", LONG), Field("at_x", TEXT, key="@x")), {}),
        ((Field("x", LONG, key="@x"),), {'"@x"': {"name": "x"}}),
        # A key that comes later and is smaller would take the name.
        (
            (Field("a_b", LONG, key="a.b"), Field("a_b_1", LONG, key="a b")),
            {'"a.b"': {"name": "a_b"}, '"a b"': {"name": "a_b_1"}},
        ),
        ((Field("src_kafka_x", LONG, key="_kafka_x"),), {}),
        ((Field("id", LONG, aliases=("ID", "Id")),), {"id": {"aliases": ["ID", "Id"]}}),
        (
            (Field("id", LONG), Field("ID_1", TEXT, key="ID")),
            {"id": {"name": "id"}, "ID": {"name": "ID_1"}},
        ),
        ((Field("at", Scalar("timestamp")),), {"at": {"type": "timestamp"}}),
        ((Field("m", Map(TEXT)),), {"m": {"type": "map", "values": "string"}}),
        (
            (Field("m", Map(Struct((Field("x", JSON),)))),),
            {"m": {"type": "map"}, "m[].x": {"type": "json"}},
        ),
        ((Field("l", Array(JSON)),), {"l[]": {"type": "json"}}),
        ((Field("n", LONG, rescue=True),), {"n": {"type": "long"}}),
    ],
)
def test_export_has_what_the_rules_alone_may_not_give(
    source: tuple[Field, ...], hint: dict[str, object]
) -> None:
    assert exported(Struct(source)) == hint


def test_export_of_what_no_record_said_and_of_what_is_dropped() -> None:
    source = Struct((Field("id", LONG), Field("extra", TEXT)))
    told = [Mapped(("id",), "id", "long", (), "", 1.0, "1")]
    gone = [Field("secret", TEXT), Field("id", LONG)]
    found = hints(DATASET, source, told, gone)
    assert found == {"extra": {"type": "string"}, "secret": {"drop": True}}


def test_export_keeps_lowered_names_as_the_rules_give_them() -> None:
    source = Struct((Field("userid", LONG, key="userId"),))
    assert exported(source, names="lower") == {}
    assert exported(source) == {"userId": {"name": "userid"}}


@given(st.dictionaries(st.text(min_size=1), st.lists(st.text(), max_size=2), max_size=4))
def test_export_is_yaml_whatever_the_keys_are(keys: dict[str, list[str]]) -> None:
    found = {shown((key,)): {"name": "no", "aliases": names} for key, names in keys.items()}
    assert yaml.safe_load(as_yaml(found)) == {"columns": found}


def test_a_hint_that_drops_is_no_text() -> None:
    assert as_yaml({"a": {"drop": True}}) == 'columns:\n  "a": {drop: true}'


def test_types_are_those_of_the_policy() -> None:
    kinds: list[Type] = [LONG, TEXT, Scalar("double"), Scalar("boolean")]
    assert exported(Struct(tuple(Field(f"c{n}", kind) for n, kind in enumerate(kinds)))) == {}
