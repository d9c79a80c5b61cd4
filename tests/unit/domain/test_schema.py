"""The structural diff of two schemas, its verdicts, and the merge."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lake_platform.domain.diff import diff
from lake_platform.domain.schema import (
    UNKNOWN,
    Array,
    Decimal,
    Field,
    Map,
    Scalar,
    Struct,
    Type,
    columns,
    grown,
    merge,
    widens,
    without_unknown,
)
from lake_platform.domain.schema_json import from_json, struct_from_json, to_json

LONG, TEXT = Scalar("long"), Scalar("string")
TYPES: dict[str, Type] = {
    **{n: Scalar(n) for n in ("boolean", "int", "long", "float", "double", "string", "date",
                              "timestamp", "binary")},
    "d10": Decimal(10, 2), "d12": Decimal(12, 2), "d12s": Decimal(12, 4), "d10s": Decimal(10, 4),
    "struct": Struct((Field("x", LONG),)), "array": Array(LONG), "map": Map(LONG),
}  # fmt: skip
WIDER = {("int", "long"), ("float", "double"), ("d10", "d12"), ("d10", "d12s"), ("d10s", "d12s")}
# Whole digits of each: d10 8, d12 10, d12s 8, d10s 6.
CROSSED = {("d12", "d12s"), ("d12s", "d12")}
PLACES: dict[str, tuple[Callable[[Type], Struct], str]] = {
    "root": (lambda kind: Struct((Field("a", kind),)), "a"),
    "struct": (lambda kind: Struct((Field("a", Struct((Field("b", kind),))),)), "a.b"),
    "element": (lambda kind: Struct((Field("a", Array(kind)),)), "a[]"),
    "value": (lambda kind: Struct((Field("a", Map(kind)),)), "a{}"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("before", TYPES)
@pytest.mark.parametrize("after", TYPES)
def test_every_change_of_type_has_its_verdict(before: str, after: str, place: str) -> None:
    put, path = PLACES[place]
    old, new = put(TYPES[before]), put(TYPES[after])
    changes = diff(old, new)
    if before == after:
        assert changes == []
        assert merge(old, new) == old
        return
    (change,) = changes
    assert change.path == path
    assert (change.before, change.after) == (str(TYPES[before]), str(TYPES[after]))
    if (before, after) in WIDER:
        assert (change.kind, change.verdict) == ("widen", "automatic")
        assert merge(old, new) == new
        assert merge(new, old) == new
    else:
        kind = "narrow" if (after, before) in WIDER else "type"
        assert (change.kind, change.verdict) == (kind, "breaking")
        assert merge(old, new) == old


def test_decimals_that_grow_on_one_side_and_shrink_on_the_other_break() -> None:
    for before, after in CROSSED:
        old, new = PLACES["root"][0](TYPES[before]), PLACES["root"][0](TYPES[after])
        assert [c.verdict for c in diff(old, new)] == ["breaking"]


@pytest.mark.parametrize(
    ("wrap", "prefix"),
    [
        (lambda s: s, ""),
        (lambda s: Struct((Field("a", s),)), "a."),
        (lambda s: Struct((Field("a", Array(s)),)), "a[]."),
        (lambda s: Struct((Field("a", Map(s)),)), "a{}."),
        (lambda s: Struct((Field("a", Array(Map(Array(s)))),)), "a[]{}[]."),
    ],
)
class TestColumns:
    old = Struct((Field("x", LONG),))

    def changes(
        self, wrap: Callable[[Struct], Struct], new: Struct, *, partial: bool = False
    ) -> list[tuple[str, str, str]]:
        found = diff(wrap(self.old), wrap(new), partial=partial)
        return [(c.path, c.kind, c.verdict) for c in found]

    def test_add_is_automatic(self, wrap: Callable[[Struct], Struct], prefix: str) -> None:
        new = Struct((Field("y", TEXT), Field("x", LONG)))
        assert self.changes(wrap, new) == [(f"{prefix}y", "add", "automatic")]
        grown = merge(wrap(self.old), wrap(new))
        assert grown == wrap(Struct((Field("x", LONG), Field("y", TEXT))))

    def test_required_add_breaks(self, wrap: Callable[[Struct], Struct], prefix: str) -> None:
        new = Struct((Field("x", LONG), Field("y", TEXT, nullable=False)))
        assert self.changes(wrap, new) == [(f"{prefix}y", "required", "breaking")]

    def test_absent_is_a_proposal(self, wrap: Callable[[Struct], Struct], prefix: str) -> None:
        assert self.changes(wrap, Struct()) == [(f"{prefix}x", "absent", "proposal")]
        assert self.changes(wrap, Struct(), partial=True) == []
        assert merge(wrap(self.old), wrap(Struct())) == wrap(self.old)

    def test_rename_is_an_add_and_an_absence(
        self, wrap: Callable[[Struct], Struct], prefix: str
    ) -> None:
        new = Struct((Field("z", LONG),))
        assert self.changes(wrap, new) == [
            (f"{prefix}z", "add", "automatic"),
            (f"{prefix}x", "absent", "proposal"),
        ]

    def test_case_twin_breaks(self, wrap: Callable[[Struct], Struct], prefix: str) -> None:
        new = Struct((Field("x", LONG), Field("X", LONG)))
        assert self.changes(wrap, new) == [(f"{prefix}X", "case_twin", "breaking")]

    def test_new_case_twins_break(self, wrap: Callable[[Struct], Struct], prefix: str) -> None:
        new = Struct((Field("x", LONG), Field("n", LONG), Field("N", LONG)))
        assert (f"{prefix}N", "case_twin", "breaking") in self.changes(wrap, new)

    def test_reorder_is_nothing(self, wrap: Callable[[Struct], Struct], prefix: str) -> None:
        old = wrap(Struct((Field("x", LONG), Field("y", TEXT))))
        assert diff(old, wrap(Struct((Field("y", TEXT), Field("x", LONG))))) == [], prefix

    def test_unknown_is_nothing(self, wrap: Callable[[Struct], Struct], prefix: str) -> None:
        new = Struct((Field("x", UNKNOWN), Field("y", UNKNOWN), Field("e", Array(UNKNOWN))))
        assert self.changes(wrap, new) == [], prefix
        assert merge(wrap(self.old), wrap(new)) == wrap(self.old)


def test_new_struct_is_added_without_its_unknown_parts() -> None:
    new = Struct((Field("o", Struct((Field("a", LONG), Field("b", UNKNOWN)))),))
    (change,) = diff(Struct(), new)
    assert str(change) == "new column o struct<a:long>"
    assert merge(Struct(), new) == Struct((Field("o", Struct((Field("a", LONG),))),))


@pytest.mark.parametrize("kind", [*TYPES.values(), Array(Map(Struct((Field("é.`", LONG),))))])
def test_json_form_is_sparks_and_comes_back(kind: Type) -> None:
    assert from_json(to_json(kind)) == kind
    schema = Struct((Field("a", kind, nullable=False),))
    assert struct_from_json(to_json(schema)) == schema


def test_json_form_names_int_as_spark_does() -> None:
    assert to_json(Scalar("int")) == "integer"
    with pytest.raises(ValueError, match="'interval'"):
        from_json("interval")
    with pytest.raises(ValueError, match="a schema is a struct"):
        struct_from_json("long")


def test_columns_with_their_paths() -> None:
    inner = Struct((Field("b", LONG),))
    schema = Struct(
        (
            Field("a", inner),
            Field("l", Array(inner)),
            Field("m", Map(Array(inner))),
            Field("n", Array(LONG)),
        )
    )
    assert [path for path, _ in columns(schema)] == [
        "a", "a.b", "l", "l[].b", "m", "m{}[].b", "n",
    ]  # fmt: skip


def test_without_unknown() -> None:
    assert without_unknown(UNKNOWN) is None
    assert without_unknown(Struct((Field("a", Array(UNKNOWN)),))) is None
    assert without_unknown(Map(UNKNOWN)) is None
    mixed = Struct((Field("a", UNKNOWN), Field("b", LONG)))
    assert without_unknown(mixed) == Struct((Field("b", LONG),))


@pytest.mark.parametrize("precision", range(1, 37))
def test_a_decimal_with_more_digits_behind_the_point_gets_other_bytes(precision: int) -> None:
    before = Decimal(precision, 0)
    after = grown(before, Decimal(precision + 1, 1))
    assert after.scale == 1
    assert widens(before, after) or not after.storable
    assert after.bytes > before.bytes
    assert grown(before, Decimal(precision + 1, 0)) == Decimal(precision + 1, 0)
