"""Files of records: one a line, as values or, with `--records`, as whole Kafka records."""

from __future__ import annotations

import zlib
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
from isal import igzip

from lake_platform.errors import InvalidFieldError

_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
MAX_LINE_BYTES = 64 << 20  # a value may have 8 MiB; as escaped text or base64 it is longer
_MAX_PARTITION = 999
_FORM = (
    'give {"key":…, "value":…} with value, value_text or value_bytes (base64), and key or '
    "key_bytes, headers, partition, timestamp (ms) where they matter"
)


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record and the line it came from. `timestamp` is None for "when it is sent"."""

    line: int
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    partition: int = 0
    timestamp: int | None = None


def read_records(path: Path, *, whole: bool) -> Iterator[Record]:
    """The records of a file, plain or gzip. `whole`: each line is a record with key and value;
    else it is the value, whatever it holds. Blank lines are no records.

    Raises:
        InvalidFieldError: the file cannot be read, or a line is no record; names file and line.
    """
    for number, line in _lines(path):
        yield _parsed(path, number, line) if whole else Record(number, line)


def records_in(text: bytes) -> Iterator[Record]:
    """Each line but the blank ones is a value, as in a file."""
    lines = text.removeprefix(_BOM).split(b"\n")
    stripped = ((n, line.removesuffix(b"\r")) for n, line in enumerate(lines, 1))
    return (Record(number, line) for number, line in stripped if line.strip())


def check_file(path: Path, *, whole: bool) -> None:
    """Raises: InvalidFieldError, as reading it would; without keeping any of it."""
    if not path.exists():
        raise InvalidFieldError("file", str(path), "there is no such file", "check its path")
    if path.is_dir():
        raise InvalidFieldError(
            "file", str(path), "is a directory", "name a file; give others with --batch"
        )
    if not path.is_file():
        return  # a pipe is read once
    for _ in read_records(path, whole=True) if whole else _lines(path, only_first=True):
        pass


def _lines(path: Path, *, only_first: bool = False) -> Iterator[tuple[int, bytes]]:
    """Lines without their end (\\n or \\r\\n) and without a byte order mark of the file."""
    with _opened(path) as file:
        for number in range(1, 1 << 62):
            line = file.readline(MAX_LINE_BYTES + 1)
            if not line:
                return
            if len(line) > MAX_LINE_BYTES:
                raise _bad(path, number, f"longer than {MAX_LINE_BYTES >> 20} MiB", "split it")
            if number == 1:
                line = _without_mark(path, line)
            line = line.removesuffix(b"\n").removesuffix(b"\r")
            if line.strip():
                yield number, line
            if only_first:
                return


def _without_mark(path: Path, line: bytes) -> bytes:
    if line.startswith(_UTF16):
        raise _bad(path, 1, "UTF-16 text", "convert the file: iconv -f UTF-16 -t UTF-8")
    return line.removeprefix(_BOM)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as plain:
            packed = plain.peek(2)[:2] == _GZIP
            yield cast(BinaryIO, igzip.open(plain)) if packed else plain
    except (OSError, EOFError, zlib.error, igzip.BadGzipFile) as error:
        reason = f"cannot be read: {error}"
        raise InvalidFieldError("file", str(path), reason, "check the file") from None


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    key: msgspec.Raw = msgspec.Raw(b"null")
    key_bytes: str | None = None
    value: msgspec.Raw = msgspec.Raw(b"")  # not given
    value_text: str | None = None
    value_bytes: str | None = None
    headers: dict[str, str | None] | list[tuple[str, str | None]] | None = None
    partition: int = 0
    timestamp: int | None = None


_decode = msgspec.json.Decoder(_Line).decode


def _parsed(path: Path, number: int, line: bytes) -> Record:
    try:
        # What `value` holds is cut out unread; it must be one valid document all the same.
        msgspec.json.decode(line)
        found = _decode(line)
        given = found.headers.items() if isinstance(found.headers, dict) else found.headers or ()
        return Record(
            number,
            _value(found),
            _key(found),
            tuple((n, None if v is None else v.encode()) for n, v in given),
            _partition(found.partition),
            found.timestamp,
        )
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise _bad(path, number, f"not a record: {error}", _FORM) from None


def _value(found: _Line) -> bytes | None:
    forms = [found.value_text, found.value_bytes]
    raw = bytes(found.value)
    if bool(raw) + sum(f is not None for f in forms) != 1:
        raise ValueError("one of value, value_text and value_bytes is needed")
    if found.value_text is not None:
        return found.value_text.encode()
    if found.value_bytes is not None:
        return _unpacked("value_bytes", found.value_bytes)
    return None if raw == b"null" else raw


def _key(found: _Line) -> bytes | None:
    if found.key_bytes is not None:
        if bytes(found.key) != b"null":
            raise ValueError("key and key_bytes say two things")
        return _unpacked("key_bytes", found.key_bytes)
    raw = bytes(found.key)
    if raw == b"null":
        return None
    return msgspec.json.decode(raw, type=str).encode() if raw.startswith(b'"') else raw


def _unpacked(name: str, text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except Base64Error as error:
        raise ValueError(f"{name} is not base64 ({error})") from None


def _partition(number: int) -> int:
    if not 0 <= number <= _MAX_PARTITION:
        raise ValueError(f"partition {number} is not within 0 and {_MAX_PARTITION}")
    return number


def _bad(path: Path, number: int, reason: str, remedy: str) -> InvalidFieldError:
    return InvalidFieldError("file", f"{path}:{number}", reason, remedy)
