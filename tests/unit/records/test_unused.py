"""What no step looks at need not fit."""

from __future__ import annotations

from typing import Any

import pytest

from lake_platform.domain.schema import JSON, Array, Field, Map, Scalar, Struct
from lake_platform.records.unused import Unused

_LONG = Scalar("long")
_O = Struct((Field("a", _LONG), Field("b", _LONG), Field("c", Struct((Field("d", _LONG),)))))
_SOURCE = Struct(
    (
        Field("n", _LONG, aliases=("N",)),
        Field("plus_1", _LONG, key="+1"),
        Field("o", _O),
        Field("l", Array(_O)),
        Field("m", Map(_LONG)),
        Field("j", JSON),
    )
)
_PLACES = [("n",), ("plus_1",), ("o", "b"), ("o", "c", "d"), ("l", "b"), ("m",), ("j",)]


@pytest.mark.parametrize(
    ("value", "left", "counted"),
    [
        ({"n": "x", "o": {"a": 1}}, {"o": {"a": 1}}, {"n": 1}),
        ({"N": {}}, {}, {"N": 1}),
        ({"+1": [1]}, {}, {'"+1"': 1}),
        ({"o": {"a": "x", "b": "x"}}, {"o": {"a": "x"}}, {"o.b": 1}),
        ({"o": {"c": {"d": "x", "e": 1}}}, {"o": {"c": {"e": 1}}}, {"o.c.d": 1}),
        ({"o": "x"}, {"o": "x"}, {}),
        ({"l": [{"b": "x"}, {"b": 1}, {"b": "y", "a": 2}]}, {"l": [{}, {"b": 1}, {"a": 2}]},
         {"l[].b": 2}),
        ({"l": {"b": "x"}}, {"l": {}}, {"l[].b": 1}),
        ({"m": {"k": "x"}}, {}, {"m": 1}),
        ({"n": 1, "o": {"b": None, "new": "x"}, "m": [], "j": "x", "new": 1}, None, {}),
        ({"n": 1.0, "o": {"c": []}}, None, {}),
    ],
)  # fmt: skip
def test_only_what_does_not_fit_is_left_out(
    value: dict[str, Any], left: dict[str, Any] | None, counted: dict[str, int]
) -> None:
    found, counts = Unused(_PLACES).without(value, _SOURCE)
    assert found == (value if left is None else left)
    assert dict(counts) == counted


def test_without_places_nothing_is_looked_at() -> None:
    assert Unused(()).without({"n": "x"}, _SOURCE) == ({"n": "x"}, {})
