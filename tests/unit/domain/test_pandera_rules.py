"""What of a pandera schema becomes a rule, and what cannot."""

from __future__ import annotations

from typing import Any

import pandera.pandas as pa
import pytest
from pandera.typing import Series

from lake_platform.domain.pandera_rules import from_pandera
from lake_platform.domain.rules import Rule, check_rules
from lake_platform.errors import InvalidFieldError


class Orders(pa.DataFrameModel):
    id: Series[int] = pa.Field(ge=0, unique=True)
    kind: Series[str] = pa.Field(isin=["a", "b"], nullable=True)
    price: Series[float] = pa.Field(in_range={"min_value": 0, "max_value": 5})
    code: Series[str] = pa.Field(str_matches="[A-Z]+", nullable=True)
    note: Series[str] = pa.Field(nullable=True)


def test_a_model() -> None:
    found = from_pandera(Orders, policy="quarantine")
    assert found == (
        Rule(column="id", not_null=True, unique=True, min=0, policy="quarantine"),
        Rule(column="kind", isin=("a", "b"), policy="quarantine"),
        Rule(column="price", not_null=True, min=0, max=5, policy="quarantine"),
        Rule(column="code", regex="^(?:[A-Z]+)", policy="quarantine"),
    )
    check_rules(found)


def test_a_schema() -> None:
    schema = pa.DataFrameSchema(
        {"a": pa.Column(bool, pa.Check.isin([True]), nullable=True), "b": pa.Column(int)},
        unique=["b"],
    )
    assert from_pandera(schema) == (
        Rule(column="a", isin=("true",)), Rule(column="b", not_null=True, unique=True),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"a": pa.Column(int, pa.Check(lambda s: s > 0))}, "which is no rule"),
        ({"a": pa.Column(int, pa.Check.gt(0))}, "greater_than, which is no rule"),
        ({"a": pa.Column(int, [pa.Check.ge(0), pa.Check.ge(1)])}, "says min twice"),
        (
            {"a": pa.Column(float, pa.Check.in_range(0, 1, include_max=False))},
            "in_range, which is no rule",
        ),
    ],
)
def test_what_is_no_rule(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidFieldError, match=why):
        from_pandera(pa.DataFrameSchema(schema))


def test_what_is_about_several_columns() -> None:
    columns = {"a": pa.Column(int), "b": pa.Column(int)}
    with pytest.raises(InvalidFieldError, match="together"):
        from_pandera(pa.DataFrameSchema(columns, unique=["a", "b"]))
    over = pa.Check(lambda frame: frame["a"] < frame["b"])
    with pytest.raises(InvalidFieldError, match="several columns"):
        from_pandera(pa.DataFrameSchema(columns, checks=over))
