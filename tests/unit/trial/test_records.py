"""Files of records: what is a record, and what is an error naming file and line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from lake_platform.errors import InvalidFieldError
from lake_platform.trial import records
from lake_platform.trial.records import Record, check_file, read_records


def _values(path: Path) -> list[bytes | None]:
    return [r.value for r in read_records(path, whole=False)]


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1}\nno json\n{"a":2}\n',
        b'{"a":1}\r\nno json\r\n{"a":2}\r\n',
        b'{"a":1}\nno json\n{"a":2}',
        b'\xef\xbb\xbf{"a":1}\n\n  \nno json\n{"a":2}\n',
        gzip.compress(b'{"a":1}\nno json\n{"a":2}\n'),
        gzip.compress(b'{"a":1}\nno json\n') + gzip.compress(b'{"a":2}\n'),
    ],
    ids=["plain", "crlf", "no-final-newline", "bom-and-blank", "gzip", "two-gzip-members"],
)
def test_each_line_is_a_value(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "r.ndjson"
    path.write_bytes(data)
    assert _values(path) == [b'{"a":1}', b"no json", b'{"a":2}']


def test_lines_keep_the_numbers_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "r.ndjson"
    path.write_bytes(b"\n1\n\n2\n")
    assert [r.line for r in read_records(path, whole=False)] == [2, 4]


def test_characters_that_are_no_line_ends_stay_inside(tmp_path: Path) -> None:
    path = tmp_path / "r.ndjson"
    path.write_bytes('{"a":"x\u2028y\u0085z\x0b"}\n'.encode())
    assert _values(path) == ['{"a":"x\u2028y\u0085z\x0b"}'.encode()]


def test_empty_file_has_no_record(tmp_path: Path) -> None:
    path = tmp_path / "r.ndjson"
    path.write_bytes(b"")
    check_file(path, whole=False)
    assert _values(path) == []


@pytest.mark.parametrize(
    ("line", "record"),
    [
        ('{"value":{"p":1.10,"b":12345678901234567890}}',
         Record(1, b'{"p":1.10,"b":12345678901234567890}')),
        ('{"key":"k","value":null}', Record(1, None, b"k")),
        ('{"key":{"id": 1},"value":null}', Record(1, None, b'{"id": 1}')),
        ('{"key":7,"value":null}', Record(1, None, b"7")),
        ('{"key":null,"value":1}', Record(1, b"1")),
        ('{"key":"","value_text":""}', Record(1, b"", b"")),
        ('{"key":"\\u00e9","value_text":"{\\"a\\": 1"}', Record(1, b'{"a": 1', "é".encode())),
        ('{"key_bytes":"/w==","value_bytes":"AAE="}', Record(1, b"\x00\x01", b"\xff")),
        ('{"value":1,"headers":{"h":"v","n":null},"partition":3,"timestamp":1793491200000}',
         Record(1, b"1", None, (("h", b"v"), ("n", None)), 3, 1793491200000)),
        ('{"value":1,"headers":[["h","1"],["h","2"]]}',
         Record(1, b"1", None, (("h", b"1"), ("h", b"2")))),
    ],
)  # fmt: skip
def test_whole_record(tmp_path: Path, line: str, record: Record) -> None:
    path = tmp_path / "r.ndjson"
    path.write_text(line)
    assert list(read_records(path, whole=True)) == [record]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no json", "not a record"),
        ("[1]", "not a record"),
        ('{"key":"k"}', "one of value, value_text and value_bytes"),
        ('{"value":1,"value_text":"1"}', "one of value, value_text and value_bytes"),
        ('{"value":1,"topic":"t"}', "topic"),
        ('{"value":1,"partition":-1}', "partition"),
        ('{"value":1,"partition":5000000}', "partition"),
        ('{"value":1,"timestamp":"now"}', "timestamp"),
        ('{"value_bytes":"%"}', "base64"),
        ('{"key":"k","key_bytes":"aw==","value":1}', "key_bytes"),
        ('{"value":{"a":}}', "not a record"),
    ],
)
def test_line_that_is_no_record_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "r.ndjson"
    path.write_text('{"value":1}\n' + line + "\n")
    with pytest.raises(InvalidFieldError, match=r"r\.ndjson:2") as error:
        check_file(path, whole=True)
    assert said in str(error.value)


def test_files_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(b'{"a":1}\n' * 1000)[:-9])
    broken = tmp_path / "broken.gz"
    broken.write_bytes(b"\x1f\x8bnothing")
    wide = tmp_path / "utf16"
    wide.write_bytes('{"a":1}\n'.encode("utf-16"))
    for path, said in (
        (tmp_path, "is a directory"),
        (tmp_path / "none", "no such file"),
        (broken, "cannot be read"),
        (wide, "iconv"),
    ):
        with pytest.raises(InvalidFieldError, match=said):
            check_file(path, whole=False)
    with pytest.raises(InvalidFieldError, match="cannot be read"):
        _values(cut)
    monkeypatch.setattr(records, "MAX_LINE_BYTES", 10)
    long = tmp_path / "long"
    long.write_bytes(b"1\n" + b"x" * 11)
    with pytest.raises(InvalidFieldError, match="long:2"):
        _values(long)
