"""Raw and quarantine objects, read line by line: by what the log names, and by blind listing."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from lake_platform.audit.report import Problem
from lake_platform.audit.sources import Files
from lake_platform.domain.layout import quarantine_prefix, raw_prefix
from lake_platform.domain.offsets import RawCommit, RawObject

_BROKEN = (OSError, EOFError, zlib.error, msgspec.MsgspecError)


class RawLine(msgspec.Struct, gc=False):
    partition: int
    offset: int
    timestamp: int
    key: str | None = None
    value: msgspec.Raw = msgspec.Raw(b"null")
    value_bytes: str | None = None
    tombstone: bool = False

    @property
    def sent(self) -> bytes | None:
        """The value as it was in Kafka; None for a tombstone."""
        if self.value_bytes is not None:
            return base64.b64decode(self.value_bytes)
        return None if self.tombstone else bytes(self.value)


class QuarantineLine(msgspec.Struct, gc=False):
    record: RawLine
    reason: str = ""


_raw_line = msgspec.json.Decoder(RawLine).decode
_quarantine_line = msgspec.json.Decoder(QuarantineLine).decode


@dataclass(frozen=True, slots=True)
class Object:
    """One raw object as found; `raw` and `seq` only when the log names it."""

    key: str
    window: str
    size: int
    seq: int = 0
    raw: RawObject | None = None


def logged_objects(commits: Sequence[RawCommit]) -> list[Object]:
    """Objects that must be there: not those retention let go."""
    return [
        Object(o.key, o.window, o.stored_bytes, c.seq, o)
        for c in commits
        if not c.expired_at
        for o in c.objects
    ]


def listed_objects(files: Files, topic: str, table: str) -> dict[str, Object]:
    """Every raw object of the table that a blind listing finds, by key."""
    found = {}
    for info in files.list(raw_prefix(topic)):
        name = info.key.rsplit("/", 1)[1].removesuffix(".json.gz").rsplit("-", 4)
        if len(name) == 5 and name[0] == table:
            found[info.key] = Object(info.key, window_of_key(info.key), info.size)
    return found


def window_of_key(key: str) -> str:
    """`…/2026/11/24/03/name` -> `2026-11-24-03:00`."""
    year, month, day, hour = key.split("/")[-5:-1]
    return f"{year}-{month}-{day}-{hour}:00"


def read_object(files: Files, found: Object, problems: list[Problem]) -> Iterator[RawLine]:
    """The records of one object; what is wrong with it as a whole goes to `problems`."""
    try:
        data = files.read(found.key)
    except KeyError:
        problems.append(Problem(found.window, f"raw object {found.key!r} is gone"))
        return
    if found.raw and hashlib.sha256(data).hexdigest() != found.raw.sha256:
        text = f"raw object {found.key!r}: its sha256 is not the committed one"
        problems.append(Problem(found.window, text))
    lines = 0
    try:
        with gzip.open(io.BytesIO(data)) as text_lines:
            for line in text_lines:
                lines += 1
                yield _raw_line(line)
    except _BROKEN as error:
        text = f"raw object {found.key!r}: line {lines + 1} cannot be read: {error}"
        problems.append(Problem(found.window, text))
        return
    if found.raw and lines != found.raw.records:
        text = f"raw object {found.key!r} has {lines} records, its commit says {found.raw.records}"
        problems.append(Problem(found.window, text))


def read_quarantine(
    files: Files, table: str, problems: list[Problem]
) -> Iterator[tuple[str, QuarantineLine]]:
    """Window and line of every record in quarantine, by blind listing."""
    for info in files.list(quarantine_prefix(table)):
        window = window_of_key(info.key)
        try:
            with gzip.open(io.BytesIO(files.read(info.key))) as lines:
                for line in lines:
                    yield window, _quarantine_line(line)
        except (KeyError, *_BROKEN) as error:
            text = f"quarantine object {info.key!r} cannot be read: {error}"
            problems.append(Problem(window, text))
