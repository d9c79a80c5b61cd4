"""First sight of a topic: which records are looked at, and what they come to."""

from __future__ import annotations

import json
from itertools import count

import pytest

from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.mapping import Look
from lake_platform.domain.schema import RESCUED_FIELD, UNKNOWN
from lake_platform.errors import InvalidFieldError
from lake_platform.sight.infer import look, settled
from lake_platform.sight.profile import Profile

DATASET = Dataset(topic="t", table="t")


def seen(*values: object) -> Look:
    return settled([json.dumps(v).encode() for v in values], DATASET, Profile())


def inferred(*values: object) -> dict[str, str]:
    sight = seen(*values).sight
    assert sight is not None
    return {f.name: str(f.type) for f in sight.source.fields}


def test_types_follow_json_values() -> None:
    found = inferred(
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


def test_columns_keep_the_order_first_seen() -> None:
    found = inferred({"z": 1, "a": 1}, {"m": 1, "a": 1, "o": {"y": 1}}, {"o": {"b": 1, "y": 1}})
    assert list(found) == ["z", "a", "m", "o"]
    assert found["o"] == "struct<y:long,b:long>"


def test_what_was_only_null_is_seen_and_has_no_column() -> None:
    values = [{"n": None, "e": [], "o": {}, "k": 1, "late": None}, {"late": ["x"]}]
    assert inferred(*values) == {"k": "long", "late": "array<string>"}
    kinds = {f.name: f.type for f in seen(*values).seen.fields}
    assert [kinds[name] for name in ("n", "e", "o")] == [UNKNOWN] * 3
    assert settled([b"{}", b'{"n":null}'], DATASET, Profile()).sight is None


def test_what_is_rescued_has_a_column() -> None:
    values = [{"o": {"a": n}} for n in range(200)]
    found = seen(*values, {"o": 5}).sight
    assert found is not None
    assert found.source.fields[-1] == RESCUED_FIELD
    assert found.source.fields[0].rescue
    assert RESCUED_FIELD.name not in inferred(*values)


def test_bad_records_and_nulls_are_passed_over() -> None:
    bad = [None, b"", b"\xff", b"{", b'{"a":1}{"a":2}', b"[1]", b"5", b"\xef\xbb\xbf{}", b"null"]
    found = settled([*bad, b'{"good":1}'], DATASET, Profile()).sight
    assert found is not None
    assert [f.name for f in found.source.fields] == ["good"]
    assert settled(bad, DATASET, Profile()).sight is None


def test_head_middle_and_tail_of_every_partition_are_read() -> None:
    kafka = MemoryKafka()
    kafka.create_topic("t", 3)
    for number in range(400):
        key = {0: "first", 199: "middle", 399: "last", 100: "passed_over"}.get(number, "x")
        for partition in (0, 1):
            value = json.dumps({f"{key}{partition}": number}).encode()
            kafka.produce("t", None, value, partition=partition)
    kafka.produce("t", None, b'{"alone":1}', partition=2)
    sight = look(kafka, DATASET, limit=60).sight
    assert sight is not None
    assert {f.name for f in sight.source.fields} == {
        "first0", "first1", "middle0", "middle1", "last0", "last1", "x0", "x1", "alone",
    }  # fmt: skip


def test_all_of_a_small_topic_is_read_once() -> None:
    kafka = MemoryKafka()
    kafka.create_topic("t", 2)
    for number in range(50):
        kafka.produce("t", None, json.dumps({f"k{number}": 1}).encode(), partition=number % 2)
    sight = look(kafka, DATASET).sight
    assert sight is not None
    assert sight.profile["records"] == 50


def test_empty_topic_has_no_schema_and_unknown_topic_is_named() -> None:
    kafka = MemoryKafka()
    kafka.create_topic("empty")
    assert look(kafka, Dataset(topic="empty", table="t")) == Look()
    with pytest.raises(InvalidFieldError) as caught:
        look(kafka, DATASET)
    assert caught.value.field == "topic"


def test_deadline_ends_a_read_that_gives_nothing() -> None:
    kafka = MemoryKafka()
    kafka.create_topic("t")
    kafka.produce("t", None, b'{"a":1}')
    ticks = count(step=5.0)
    assert look(kafka, DATASET, deadline_seconds=1.0, clock=lambda: next(ticks)).sight is None


def test_schema_has_nullable_columns_only() -> None:
    sight = seen({"a": {"b": 1}}).sight
    assert sight is not None
    assert sight.source.fields[0].nullable
