"""What is no rule, and what of one fits no column."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lake_platform.domain.rules import Rule, check_rules, conditions
from lake_platform.domain.rules_fit import check_fit, type_at
from lake_platform.domain.schema import Array, Decimal, Field, Map, Scalar, Struct
from lake_platform.errors import InvalidFieldError

LONG, TEXT = Scalar("long"), Scalar("string")
COLUMNS = Struct(
    (
        Field("id", LONG),
        Field("name", TEXT),
        Field("d", Decimal(10, 2)),
        Field("a.b", TEXT),
        Field("o", Struct((Field("p", LONG), Field("q", Array(Struct((Field("r", TEXT),))))))),
        Field("xs", Array(Struct((Field("v", LONG),)))),
        Field("m", Map(LONG)),
        Field("j", Scalar("json")),
    )
)


def test_a_rule_is_a_condition_for_each_thing_it_says() -> None:
    rule = Rule(column="o.p", not_null=True, min=0, max=5.5, isin=("1",), policy="block")
    assert [(c.name, c.value, c.policy) for c in conditions((rule,))] == [
        ("o.p.not_null", True, "block"), ("o.p.min", 0, "block"), ("o.p.max", 5.5, "block"),
        ("o.p.isin", ("1",), "block"),
    ]  # fmt: skip
    named = (Rule(column="id", min=0, name="positive"), Rule(sql="a < b", name="order"))
    assert [c.name for c in conditions(named)] == ["positive.min", "order"]


def test_zero_is_a_bound() -> None:
    assert [c.kind for c in conditions((Rule(column="a", min=0, max=0),))] == ["min", "max"]


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"column": "a", "policy": "drop"}, "rules.policy"),
        ({}, "rules.column"),
        ({"column": "a", "min": 2, "max": 1}, "rules.min"),
        ({"column": "a", "name": "no good"}, "rules.name"),
        ({"sql": "a", "name": "ä"}, "rules.name"),
    ],
)
def test_what_is_no_rule(rule: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidFieldError) as refused:
        Rule(**rule)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ([{"column": "a"}], "rules"),
        ([{"column": "a", "min": math.nan}], "rules.min"),
        ([{"column": "a", "max": math.inf}], "rules.max"),
        ([{"sql": "a"}], "rules.name"),
        ([{"sql": "a", "name": "x", "column": "a", "unique": True}], "rules.sql"),
        ([{"column": "a[]", "unique": True}], "rules.unique"),
        ([{"column": "a", "min": 1}, {"column": "a", "min": 1}], "rules"),
        ([{"column": "a", "min": 1}, {"column": "a", "max": 0}], "rules.min"),
        (
            [{"column": "a", "isin": ("x",)}, {"column": "a", "isin": ("y",), "name": "n"}],
            "rules.isin",
        ),
    ],
)
def test_what_can_be_read_and_not_be_registered(rules: list[dict[str, Any]], field: str) -> None:
    with pytest.raises(InvalidFieldError) as refused:
        check_rules([Rule(**rule) for rule in rules])
    assert refused.value.field == field
    assert refused.value.remedy


def test_rules_that_go_together() -> None:
    check_rules(
        [
            Rule(column="a", min=1),
            Rule(column="a", max=1),
            Rule(column="b", max=0),
            Rule(column="a", min=2, name="strict", policy="block"),
            Rule(sql="a < b", name="order"),
        ][:3]
    )


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("id", "long"),
        ("ID", "long"),
        ("a.b", "string"),
        ("o.p", "long"),
        ("o.q[].r", "string"),
        ("xs[].v", "long"),
        ("xs[]", "struct<v:long>"),
        ("m{}", "long"),
        ("o", None),
        ("o.nope", ""),
        ("xs.v", ""),
        ("m[]", ""),
        ("id.x", ""),
        ("nope", ""),
        ("idx", ""),
    ],
)
def test_what_a_path_leads_to(path: str, kind: str | None) -> None:
    found = type_at(COLUMNS, path)
    assert found == COLUMNS.get("o").type if kind is None else str(found or "") == kind  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "rule",
    [
        {"column": "id", "min": 1, "max": 5, "isin": ("1",), "unique": True, "not_null": True},
        {"column": "d", "min": 1},
        {"column": "name", "regex": "a", "isin": ("a",)},
        {"column": "o.q[].r", "regex": "a"},
        {"column": "m{}", "max": 1},
        {"column": "j", "regex": "a"},
        {"column": "o", "not_null": True},
        {"sql": "whatever", "name": "x"},
        {"column": "late", "min": 1},
        {"column": "late.more", "not_null": True},
    ],
)
def test_rules_that_fit(rule: dict[str, Any]) -> None:
    late = Struct((Field("late", Scalar("unknown")),))
    check_fit([Rule(**rule)], COLUMNS, lambda: late)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"column": "name", "min": 1}, "rules.min='name': is a string; name a number"),
        ({"column": "o", "isin": ("a",)}, "rules.isin='o'"),
        ({"column": "id", "regex": "1"}, "a text"),
        ({"column": "xs", "unique": True}, "a plain value"),
        ({"column": "nope", "min": 1}, "no such"),
        ({"column": "xs.v", "min": 1}, r"xs is an array; write xs\[\]\.v"),
        ({"column": "m.v", "min": 1}, r"m is a map; write m\{\}\.v"),
    ],
)
def test_rules_that_do_not_fit(rule: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidFieldError, match=said):
        check_fit([Rule(**rule)], COLUMNS)
