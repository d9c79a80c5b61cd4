"""What a registration warns of."""

from __future__ import annotations

from typing import Any

import pytest

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.schema import Array, Field, Map, Scalar, Struct
from lake_platform.load.advice import advice

LONG = Scalar("long")
ONE, OTHER = Struct((Field("x", LONG),)), Struct((Field("y", LONG),))


def dataset(**options: Any) -> Dataset:
    return Dataset(topic="t", table="t", mode="upsert", primary_key=("id",), **options)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ((Field("a", Struct((Field("f", ONE),))), Field("b", Struct((Field("f", OTHER),)))),
         "a.f and b.f"),
        ((Field("a", Array(ONE)), Field("b", Array(OTHER))), r"a\[\] and b\[\]"),
        ((Field("a", Map(ONE)), Field("b", Map(OTHER))), r"a\{\} and b\{\}"),
        ((Field("f", ONE), Field("b", Struct((Field("f", OTHER),)))), "f and b.f"),
    ],
)  # fmt: skip
def test_a_cow_table_with_different_objects_of_one_name(
    fields: tuple[Field, ...], named: str
) -> None:
    source = Struct((Field("id", LONG), *fields))
    (warning,) = advice(dataset(table_type="cow"), source)
    assert named.replace("\\", "") in warning
    assert advice(dataset(table_type="mor"), source) == []
    assert advice(dataset(), source) == []
    assert advice(dataset(table_type="cow"), None) == []


def test_the_same_objects_under_one_name_are_merged() -> None:
    source = Struct((
        Field("id", LONG), Field("a", Struct((Field("f", ONE),))), Field("f", ONE),
        Field("c", Array(ONE)), Field("d", Array(ONE)),
    ))  # fmt: skip
    assert advice(dataset(table_type="cow"), source) == []
