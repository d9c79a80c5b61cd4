"""What a value that can be no row looks like, in words."""

from __future__ import annotations

import bz2
import gzip
import json

import pytest

from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.mapping import Look
from lake_platform.records.looks import counted, looks_like
from lake_platform.sight.infer import look

RECORD = b'{"id":1}'
PROTOBUF = b"\x08\x96\x01\x12\x07testing\x1d\x00\x00\x80\x3f"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"\x00\x00\x00\x00\x07" + RECORD, "JSON behind Confluent's five-byte prefix"),
        (b"\x00\x00\x01\x86\xa0\x02\x0cabcdef", "binary behind Confluent's five-byte prefix"),
        (b"\x03\x00" + b"0123456789abcdef" + RECORD, "AWS Glue"),
        (gzip.compress(RECORD, mtime=0), "gzip"),
        (bz2.compress(RECORD), "bzip2"),
        (b"\x28\xb5\x2f\xfd\x04\x00A", "zstd"),
        (b"\x82SNAPPY\x00\x00\x00\x00\x01", "snappy"),
        (b"\xff\x06\x00\x00sNaPpY\x01", "snappy"),
        (b"\x04\x22\x4d\x18d@\xa7", "lz4"),
        (b"Obj\x01\x04\x14avro.codec", "Avro file"),
        (b"\xc3\x01\x01\x02\x03\x04\x05\x06\x07\x08\x02", "Avro record"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"\xac\xed\x00\x05sr\x00", "Java object"),
        (PROTOBUF, "Protobuf"),
        (PROTOBUF[:12], "Protobuf"),
        ('{"a":1}'.encode("utf-16"), "UTF-16"),
        ('{"a":1}'.encode("utf-16-le"), "UTF-16"),
        ("café".encode("latin1"), "not UTF-8"),
        (b"\xef\xbb\xbf" + RECORD, "byte order mark"),
        (b"", "empty value"),
        (b" \n", "blanks"),
        (b"hello world", "plain text"),
        (b"1,2,3", "3 fields"),
        (b"a;b", "2 fields"),
        (b"a\tb\tc\td", "4 fields"),
        (json.dumps('{"a":1}').encode(), "encoded twice"),
        (b'"text"', "a JSON string"),
        (b"[1]", "a JSON array"),
        (b"5", "a JSON number"),
        (b"true", "a JSON boolean"),
        (b"null", "a JSON null"),
        (b"<order><id>1</id></order>", "XML"),
        (b'{"a":1}{"a":2}', "more than one JSON document"),
        (b'{"a":1} trailing', "text behind it"),
        (b"{'a': 1}", "single quotes"),
        (b'{"a":', "cut JSON"),
        (b'{"a":NaN}', "only some parsers"),
    ],
)
def test_a_value_is_named(value: bytes, words: str) -> None:
    assert words in looks_like(value)


@pytest.mark.parametrize("cut", range(1, len(PROTOBUF)))
def test_any_bytes_have_a_description(cut: int) -> None:
    for value in (PROTOBUF[:cut], PROTOBUF[cut:], b"\x00" * cut, b"\xff" * cut, b"{" * 5_000 * cut):
        assert looks_like(value)


def test_kinds_are_counted_with_an_example_each() -> None:
    text = counted([b"a b", b"c d", b"[1]", b"", b"<a/>", b"{"])
    assert text.startswith("2 plain text; send plain JSON text, as b'a b'; ")
    assert text.endswith("; and 2 other kinds")
    assert counted([]) == ""


def looked(kafka: MemoryKafka) -> Look:
    return look(kafka, Dataset(topic="t", table="t"))


def topic(*values: bytes | None) -> MemoryKafka:
    kafka = MemoryKafka()
    kafka.create_topic("t")
    for value in values:
        kafka.produce("t", b"k", value)
    return kafka


def test_the_first_records_of_a_topic_that_are_no_json_are_told() -> None:
    framed = [b"\x00\x00\x00\x00" + bytes([n]) + RECORD for n in (7, 7, 8)]
    found = looked(topic(*framed))
    [warning] = found.warnings
    assert found.sight is None
    assert "3 of 3 records of topic t that were looked at are not one JSON object" in warning
    assert "3 JSON behind Confluent's five-byte prefix" in warning
    assert "schemas.enable=false" in warning


def test_a_bad_one_among_good_ones_is_told_and_the_schema_is_known() -> None:
    found = looked(topic(RECORD, b"id,name", None, RECORD))
    [warning] = found.warnings
    assert found.sight is not None
    assert "1 of 4 records" in warning
    assert "2 fields" in warning


@pytest.mark.parametrize("value", [None, b"{}", b'{"a":null}'])
def test_records_without_a_value_are_not_called_none(value: bytes | None) -> None:
    found = looked(topic(value, value))
    [warning] = found.warnings
    assert found.sight is None
    assert "2 of 2 records of topic t that were looked at have no value in any column" in warning


def test_holes_are_no_records() -> None:
    kafka = topic()
    kafka.leave_hole("t", offsets=3)
    assert looked(kafka) == Look()
