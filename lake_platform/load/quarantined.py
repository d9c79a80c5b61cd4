"""What is in quarantine: how many records of which reason, window and schema version, and the
records themselves."""

from __future__ import annotations

import zlib
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import msgspec

from lake_platform.domain.layout import quarantine_prefix
from lake_platform.domain.quality import Reason
from lake_platform.domain.storage import ObjectInfo, ObjectStore
from lake_platform.domain.windows import window_of_path
from lake_platform.errors import InvalidFieldError
from lake_platform.load.quarantine import Held, held_of
from lake_platform.load.replay import check_window
from lake_platform.records.conform import value_bytes

_GZIP = 31


class _Kept(msgspec.Struct):
    """What of a record is no text: base64."""

    value_bytes: str | None = None
    key_bytes: str | None = None


_kept_of = msgspec.json.Decoder(_Kept).decode
_NAMES = {reason.name.lower(): reason.value for reason in Reason}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records of quarantine; what is empty or None chooses all."""

    reasons: frozenset[str] = frozenset()
    windows: frozenset[str] = frozenset()
    version: int | None = None

    def takes(self, window: str, held: Held) -> bool:
        return (
            (not self.reasons or held.reason in self.reasons)
            and (not self.windows or window in self.windows)
            and (self.version is None or held.schema_version == self.version)
        )


@dataclass(frozen=True, slots=True)
class Object:
    """A quarantine object: the bad records of one raw commit and window."""

    key: str
    window: str
    seq: int
    info: ObjectInfo


@dataclass(frozen=True, slots=True)
class Group:
    """`schema_version`: the one by which the records were judged."""

    window: str
    reason: str
    schema_version: int
    records: int


@dataclass(frozen=True, slots=True)
class Look:
    """`complete`: the objects are all there are, and were read to their end."""

    groups: tuple[Group, ...]
    objects: tuple[Object, ...]
    complete: bool

    @property
    def by_reason(self) -> dict[str, int]:
        counted: Counter[str] = Counter()
        for group in self.groups:
            counted[group.reason] += group.records
        return dict(counted)


@dataclass(frozen=True, slots=True)
class QuarantinedRecord:
    """A record as it came. `value`: its text, None for a tombstone; `encoded` says that it is no
    text, and is base64; so is a `key` that is none."""

    partition: int
    offset: int
    timestamp: int
    window: str
    reason: str
    schema_version: int
    raw_commit: int
    key: str | None
    value: str | None
    encoded: bool = False


def wanted(
    reasons: Sequence[str] = (), windows: Sequence[str] = (), version: int | None = None
) -> Wanted:
    """`reasons` as quarantine has them, or by their short names. Raises: InvalidFieldError."""
    for window in windows:
        check_window(window)
    named = (_NAMES.get(r.lower().replace("-", "_"), r) for r in reasons)
    return Wanted(frozenset(named), frozenset(windows), version)


def check_rescued(wanted: Wanted, *, rescued: bool) -> None:
    """Raises: InvalidFieldError."""
    if rescued and (wanted.reasons or wanted.version is not None):
        raise InvalidFieldError(
            "rescued", True, "values in _rescued have no reason and no version of their own",
            "name windows only, or leave rescued out",
        )  # fmt: skip


def check_reasons(wanted: Wanted, known: Sequence[str]) -> None:
    """`known`: those in quarantine. Raises: InvalidFieldError for a reason that there never is."""
    for reason in sorted(wanted.reasons.difference(known, _NAMES.values())):
        there = ", ".join(repr(r) for r in sorted(known)) or "nothing"
        raise InvalidFieldError(
            "reason", reason, "no record is in quarantine for it",
            f"there is {there}; short names are {', '.join(sorted(_NAMES))}",
        )  # fmt: skip


def objects(store: ObjectStore, table: str, wanted: Wanted = Wanted()) -> list[Object]:
    """Newest window first, and of a window the newest commit."""
    found = [_object(info) for info in store.list(quarantine_prefix(table))]
    chosen = [o for o in found if not wanted.windows or o.window in wanted.windows]
    return sorted(chosen, key=lambda o: (o.window, o.seq), reverse=True)


def look(
    store: ObjectStore,
    table: str,
    wanted: Wanted = Wanted(),
    most_objects: int | None = None,
    most_bytes: int | None = None,
) -> Look:
    """Counts by window, reason and schema version, newest first; of at most `most_objects`, and
    `most_bytes` of text."""
    every = objects(store, table, wanted)
    chosen, counted = every[:most_objects], Counter[tuple[str, str, int]]()
    complete, left = len(chosen) == len(every), most_bytes
    for found in chosen:
        if left is not None and left <= 0:
            complete = False
            break
        text, whole = _text(store, found.key, left)
        complete = complete and whole
        left = None if left is None else left - len(text)
        for held in _lines(text):
            if wanted.takes(found.window, held):
                counted[found.window, held.reason, held.schema_version] += 1
    return Look(as_groups(counted), tuple(chosen), complete)


def as_groups(counted: Mapping[tuple[str, str, int], int]) -> tuple[Group, ...]:
    """Of counts by window, reason and schema version; newest first, then the largest."""
    groups = [Group(*of, records) for of, records in sorted(counted.items())]
    groups.sort(key=lambda g: (g.window, g.schema_version, g.records), reverse=True)
    return tuple(groups)


def held_in(store: ObjectStore, found: Object) -> Iterator[Held]:
    return _lines(_text(store, found.key, None)[0])


def records(store: ObjectStore, table: str, wanted: Wanted) -> Iterator[QuarantinedRecord]:
    """Newest window first, in it by Kafka's order within a raw commit."""
    for found in objects(store, table, wanted):
        for held in held_in(store, found):
            if wanted.takes(found.window, held):
                yield _record(found, held)


def _object(info: ObjectInfo) -> Object:
    name = PurePosixPath(info.key).name.split(".")[0]
    return Object(info.key, window_of_path(info.key), int(name) if name.isdigit() else 0, info)


def _text(store: ObjectStore, key: str, most: int | None) -> tuple[bytes, bool]:
    """Whole lines, and whether they are all. An object that just went has none."""
    try:
        data = store.get(key)
    except KeyError:
        return b"", True
    inflate = zlib.decompressobj(_GZIP)
    text = inflate.decompress(data, most or 0)
    return text, inflate.eof


def _lines(text: bytes) -> Iterator[Held]:
    """What stands behind the last newline is the beginning of a line."""
    yield from map(held_of, text.split(b"\n")[:-1])


def _record(found: Object, held: Held) -> QuarantinedRecord:
    head, kept = held.head, _kept_of(held.record)
    data = b64decode(kept.value_bytes) if kept.value_bytes else value_bytes(held.record)
    value, encoded = _shown(data, kept.value_bytes)
    return QuarantinedRecord(
        head.partition, head.offset, head.timestamp, found.window, held.reason,
        held.schema_version, found.seq, head.key or kept.key_bytes, value, encoded,
    )  # fmt: skip


def _shown(data: bytes | None, kept: str | None) -> tuple[str | None, bool]:
    if data is None:
        return None, False
    try:
        return data.decode(), False
    except UnicodeDecodeError:
        return kept, True
