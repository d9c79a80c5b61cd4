"""Which primary key the Kafka key of a tombstone names, with and without steps."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.schema import (
    Struct,
)
from lake_platform.domain.schema_json import struct_from_json
from lake_platform.domain.transform import Transform
from lake_platform.load.advice import advice
from lake_platform.load.keys import TombstoneKeys
from lake_platform.load.origins import computed


def schema(**columns: str) -> Struct:
    fields = [{"name": n, "type": t, "nullable": True, "metadata": {}} for n, t in columns.items()]
    return struct_from_json({"type": "struct", "fields": fields})


def dataset(*steps: str, key: tuple[str, ...] = ("id",), **values: Any) -> Dataset:
    transforms = tuple(Transform(sql=sql) for sql in steps)
    return Dataset(
        topic="t", table="t", mode="upsert", primary_key=key, transforms=transforms, **values
    )


def keys(kind: str, *steps: str, **source: str) -> TombstoneKeys:
    columns = schema(id=kind)
    return TombstoneKeys(dataset(*steps), schema(**source) if source else columns, columns)


ENVELOPE = {"type": "struct", "fields": [{"type": "int64", "field": "id"}], "name": "k"}


@pytest.mark.parametrize(
    ("kind", "key", "found"),
    [
        ("long", '{"id":1}', 1),
        ("long", "1", 1),
        ("long", '{"id":1,"more":2}', 1),
        ("long", json.dumps({"schema": ENVELOPE, "payload": {"id": 1}}), 1),
        ("long", json.dumps({"schema": None, "payload": 1}), 1),
        ("long", json.dumps({"schema": ENVELOPE, "payload": None}), None),
        ("long", "abc", None),
        ("long", "1.5", None),
        ("long", "9223372036854775808", None),
        ("long", '{"id":"1"}', None),
        ("long", '{"id":null}', None),
        ("long", "[1]", None),
        ("long", "null", None),
        ("long", "", None),
        ("long", None, None),
        ("string", "", None),
        ("string", '""', None),
        ("string", '{"id":""}', None),
        ("string", "5", "5"),
        ("string", '"5"', "5"),
        ("string", "a b", "a b"),
        ("string", '{"id":"a"}', "a"),
        ("string", '{"other":"a"}', None),
        ("boolean", "true", True),
        ("boolean", "1", None),
        ("date", "2026-11-01", "2026-11-01"),
        ("date", "2026-13-01", None),
    ],
)
def test_keys_of_one_column(kind: str, key: str | None, found: Any) -> None:
    assert keys(kind).key_of(key) == (None if found is None else {"id": found})


def test_a_decimal_keeps_its_digits() -> None:
    found = keys("decimal(20,18)").key_of("0.123456789012345678")
    assert found is not None and found["id"].text == "0.123456789012345678"


def test_columns_that_are_called_like_the_wrapping_are_columns() -> None:
    columns = schema(schema="string", payload="string")
    tombstones = TombstoneKeys(dataset(key=("schema", "payload")), columns, columns)
    assert tombstones.key_of('{"schema":"a","payload":"b"}') == {"schema": "a", "payload": "b"}


def test_keys_of_two_columns() -> None:
    columns = schema(site="string", code="string")
    tombstones = TombstoneKeys(dataset(key=("site", "code")), columns, columns)
    assert tombstones.key_of('{"site":"2","code":""}') == {"site": "2", "code": ""}
    assert tombstones.key_of('{"site":"2"}') is None
    assert tombstones.key_of("2") is None


@pytest.mark.parametrize(
    ("steps", "kind", "key", "found"),
    [
        (["SELECT id, v FROM input"], "long", "7", 7),
        (["SELECT * FROM input WHERE v > 1"], "long", '{"id":7}', 7),
        (["SELECT i.* FROM input i"], "long", "7", 7),
        (["SELECT *, v + 1 AS w FROM input", "SELECT id, w FROM input"], "long", "7", 7),
        (["SELECT user AS id FROM input"], "string", '{"user":"u"}', "u"),
        (["SELECT user AS id FROM input"], "string", '{"id":"u"}', "u"),
        (["SELECT user AS x FROM input", "SELECT x AS id FROM input"], "string", '{"user":"u"}',
         "u"),
        (["SELECT after.id AS id FROM input"], "long", '{"id":7}', 7),
        (["SELECT CAST(id AS BIGINT) AS id FROM input"], "long", "7", 7),
        (["SELECT CAST(id AS BIGINT) AS id FROM input"], "long", "x", None),
        (["SELECT _kafka_key AS id FROM input"], "string", '{"id":1}', '{"id":1}'),
        (["SELECT _kafka_key AS id FROM input"], "string", "k2", "k2"),
        (["SELECT v FROM input", "SELECT _kafka_key AS id, v FROM input"], "string", "k2", "k2"),
        (["SELECT lower(id) AS id FROM input"], "string", "A", None),
        (["SELECT concat('x-', id) AS id FROM input"], "string", "a", None),
        (["SELECT *, lower(id) AS id FROM input"], "string", "a", None),
        (["SELECT * EXCEPT (id) FROM input"], "string", "a", None),
        (["SELECT lower(x) AS y FROM input", "SELECT y AS id FROM input"], "string", "a", None),
        (["WITH a AS (SELECT lower(id) AS id FROM input) SELECT id FROM a"], "string", "a", None),
        (["SELECT id FROM (SELECT lower(id) AS id FROM input)"], "string", "a", None),
    ],
)  # fmt: skip
def test_keys_behind_steps(steps: list[str], kind: str, key: str, found: Any) -> None:
    made = keys(kind, *steps, id="string", user="string", v="long").key_of(key)
    assert made == (None if found is None else {"id": found})


def test_a_computed_key_is_told_at_registration() -> None:
    made = dataset("SELECT lower(id) AS id FROM input")
    assert computed(made) == ["id"]
    (told,) = advice(made, None)
    assert "primary_key id is computed by a step" in told
    assert advice(dataset("SELECT id FROM input"), None) == []


@pytest.mark.parametrize(
    ("steps", "kind", "told"),
    [
        ([], "string", True),
        ([], "long", False),
        (["SELECT id, ver FROM input"], "string", True),
        (["SELECT id, CAST(ver AS BIGINT) AS ver FROM input"], "string", False),
        (["SELECT id, to_timestamp(ver) AS ver FROM input"], "string", False),
    ],
)
def test_a_text_that_orders_is_told_at_registration(
    steps: list[str], kind: str, told: bool
) -> None:
    found = advice(dataset(*steps, ordering_field="ver"), schema(id="long", ver=kind))
    assert [("compared as text" in f) for f in found] == ([True] if told else [])


def test_a_date_that_orders_needs_no_advice() -> None:
    assert advice(dataset(ordering_field="d"), schema(id="long", d="date")) == []
