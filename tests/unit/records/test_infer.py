"""Schema version 1 from first messages."""

from __future__ import annotations

import json
from itertools import count

import pytest

from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.domain.schema import UNKNOWN, Scalar, Struct
from lake_platform.errors import InvalidFieldError
from lake_platform.records.infer import infer_records, infer_source, infer_value


def inferred(*values: object) -> tuple[dict[str, str], list[str]]:
    schema, warnings = infer_records([json.dumps(v).encode() for v in values])
    assert schema is not None
    return {f.name: str(f.type) for f in schema.fields}, warnings


def test_types_follow_json_values() -> None:
    found, warnings = inferred(
        {"b": True, "l": 1, "d": 1.5, "s": "x", "o": {"i": 1}, "a": [{"p": "q"}], "m": [[1]]}
    )
    assert found == {
        "b": "boolean",
        "l": "long",
        "d": "double",
        "s": "string",
        "o": "struct<i:long>",
        "a": "array<struct<p:string>>",
        "m": "array<array<long>>",
    }
    assert warnings == []


@pytest.mark.parametrize("values", [({"n": 1}, {"n": 1.5}), ({"n": 1.5}, {"n": 1})])
def test_long_and_double_are_double(values: tuple[dict[str, float], ...]) -> None:
    assert inferred(*values) == ({"n": "double"}, [])
    assert inferred({"n": [1, 2.5]}) == ({"n": "array<double>"}, [])


def test_columns_keep_the_order_first_seen() -> None:
    found, _ = inferred({"z": 1, "a": 1}, {"m": 1, "a": 1, "o": {"y": 1}}, {"o": {"b": 1, "y": 1}})
    assert list(found) == ["z", "a", "m", "o"]
    assert found["o"] == "struct<y:long,b:long>"


def test_unknown_parts_are_left_out_until_seen() -> None:
    found, _ = inferred({"n": None, "e": [], "o": {}, "k": 1, "late": None}, {"late": ["x"]})
    assert found == {"k": "long", "late": "array<string>"}
    assert infer_records([b"{}", b'{"n":null}']) == (None, [])


@pytest.mark.parametrize(
    ("values", "path", "types"),
    [
        (({"c": "x"}, {"c": 1}), "c", ("string", "long")),
        (({"c": 1}, {"c": "x"}, {"c": "y"}), "c", ("long", "string")),
        (({"o": {"c": True}}, {"o": {"c": 1}}), "o.c", ("boolean", "long")),
        (({"a": [1]}, {"a": ["x"]}), "a[]", ("long", "string")),
        (({"o": {"c": 1}}, {"o": 5}), "o", ("struct<c:long>", "long")),
    ],
)
def test_conflict_keeps_the_first_type_and_warns(
    values: tuple[object, ...], path: str, types: tuple[str, str]
) -> None:
    first, _ = inferred(values[0])
    found, warnings = inferred(*values)
    assert found == first
    assert len(warnings) == 1
    assert warnings[0].startswith(f"column {path}: {types[0]} at first, {types[1]} later")


def test_integer_beyond_64_bits_does_not_count() -> None:
    found, warnings = inferred({"n": 1}, {"n": 2**63})
    assert found == {"n": "long"}
    assert "beyond 64 bits" in warnings[0]
    assert infer_value(2**63) == UNKNOWN
    assert infer_value(2**63 - 1) == Scalar("long")


def test_case_twin_is_left_out() -> None:
    found, warnings = inferred({"Id": 1, "id": 2}, {"iD": 3})
    assert found == {"Id": "long"}
    assert len(warnings) == 2


def test_bad_records_and_nulls_are_passed_over() -> None:
    bad = [None, b"", b"\xff", b"{", b'{"a":1}{"a":2}', b"[1]", b"5", b"\xef\xbb\xbf{}", b"null"]
    schema, warnings = infer_records([*bad, b'{"good":1}'])
    assert schema is not None
    assert [f.name for f in schema.fields] == ["good"]
    assert warnings == []
    assert infer_records(bad) == (None, [])


def test_first_messages_of_every_partition_are_read() -> None:
    kafka = MemoryKafka()
    kafka.create_topic("t", 3)
    for number in range(50):
        kafka.produce(
            "t", None, json.dumps({f"p{number % 2}": number}).encode(), partition=number % 2
        )
    kafka.produce("t", None, b'{"late":1}', partition=1)
    schema, _ = infer_source(kafka, "t", limit=20)
    assert schema is not None
    assert {f.name for f in schema.fields} == {"p0", "p1"}


def test_empty_topic_has_no_schema_and_unknown_topic_is_named() -> None:
    kafka = MemoryKafka()
    kafka.create_topic("empty")
    assert infer_source(kafka, "empty") == (None, [])
    with pytest.raises(InvalidFieldError) as caught:
        infer_source(kafka, "nope")
    assert caught.value.field == "topic"


def test_deadline_ends_a_read_that_gives_nothing() -> None:
    kafka = MemoryKafka()
    kafka.create_topic("t")
    kafka.produce("t", None, b'{"a":1}')
    ticks = count(step=5.0)
    schema, _ = infer_source(kafka, "t", deadline_seconds=1.0, clock=lambda: next(ticks))
    assert schema is None


def test_schema_has_nullable_columns_only() -> None:
    schema, _ = infer_records([b'{"a":{"b":1}}'])
    assert isinstance(schema, Struct)
    assert schema.fields[0].nullable
