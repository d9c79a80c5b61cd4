"""Which records show a change, and what they look like: a second look, for a report alone."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.diff import Change, diff
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.schema import Struct, fields
from lake_platform.domain.storage import ObjectStore
from lake_platform.raw.objects import read_lines
from lake_platform.records.conform import (
    Conformer,
    LongNumberError,
    head_of,
    parse_value,
    value_bytes,
)
from lake_platform.records.observe import observe
from lake_platform.records.opened import Opener

Place = tuple[int, int]
"""Partition and offset."""
_SHOWN_CHARS = 1_000


@dataclass(slots=True)
class Seen:
    """How many records show something; place and text of the first, cut."""

    records: int
    place: Place
    text: str


def evidence(
    dataset: Dataset,
    store: ObjectStore,
    commits: Sequence[RawCommit],
    held: Struct,
    grown: Struct,
) -> dict[str, Seen]:
    """By the path of a change from `held`; columns that are new are named as in `grown`."""
    found: dict[str, Seen] = {}
    named, fast, opener = _named(held, grown), Conformer(held), Opener(dataset)
    for line in (x for c in commits for o in c.objects for x in read_lines(store, o)):
        opened = opener.line(line).data
        if value_bytes(line) is None or _fits(fast, opened):
            continue
        for path in {named.get(c.path, c.path) for c in _changes(held, opened)}:
            if path in found:
                found[path].records += 1
            else:
                head = head_of(line)
                found[path] = Seen(1, (head.partition, head.offset), text_of(line))
    return found


def text_of(line: bytes) -> str:
    """The value of a raw line, cut; empty for a tombstone."""
    value = value_bytes(line)
    if value is None:
        value = b64decode(_packed(line).value_bytes)
    return value.decode("utf-8", "backslashreplace")[:_SHOWN_CHARS]


class _Packed(msgspec.Struct):
    value_bytes: str = ""


_packed = msgspec.json.Decoder(_Packed).decode


def _fits(fast: Conformer, line: bytes) -> bool:
    if fast.suspicious(line):
        return False
    try:
        fast.decode(line)
    except (ValueError, RecursionError):
        return False
    return True


def _changes(held: Struct, line: bytes) -> Sequence[Change]:
    try:
        seen = observe(parse_value(line), held)
    except (LongNumberError, RecursionError):
        return ()
    return diff(held, seen, partial=True) if isinstance(seen, Struct) else ()


def _named(held: Struct, grown: Struct) -> dict[str, str]:
    """From the path by which a record shows a new column to that of the column."""
    known = {path for path, _ in fields(held)}
    named: dict[str, str] = {}
    for path, field in fields(grown):
        if path not in known:
            before = path.removesuffix(field.name)
            named |= {f"{before}{key}": path for key in field.keys}
    return named
