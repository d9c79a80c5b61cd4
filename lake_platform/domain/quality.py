"""Reasons for quarantine, and the balance every batch has to close."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote


class Reason(StrEnum):
    """Why a record is in quarantine. The text is what an operator reads."""

    NOT_UTF8 = "not valid UTF-8"
    NOT_JSON = "not one valid JSON document"
    NOT_OBJECT = "not a JSON object"
    EMPTY = "empty value"
    TOO_LARGE = "value larger than 8 MiB"
    TOO_DEEP = "nested deeper than 100"
    NUMBER_RANGE = "number out of range of a double"
    NUMBER_TOO_LONG = "number longer than 1000 characters"
    NO_PREFIX = "not in the schema registry's format"
    NO_SCHEMA = "its schema is not in the registry"
    BAD_SCHEMA = "its schema cannot be read"
    OTHER_FORMAT = "its schema is of another format than value_format says"
    NOT_DECODED = "does not decode with its schema"
    NOT_CHANGE = "not a change event in the envelope that the definition names"
    NO_ROW = "a change event without the row after it"
    SEVERAL_ROWS = "a change event of several rows"
    LEFT_OUT = (
        "a change event that leaves out a value which did not change (docs/changes.md: have the "
        "source send whole rows)"
    )
    NULL_KEY = "primary key is null or missing"
    KEY_TOO_LARGE = "primary key larger than 1 KB"
    NULL_ORDERING = "ordering field is null or missing"
    TOMBSTONE = "tombstone in an append table"
    TOMBSTONE_KEY = "the key of the tombstone does not give the primary key"
    KEY_CONFLICT = "a value of a key, partition or ordering column is of another type"
    CONFLICT = "a value is of another type than its column"
    DECIDED = "a value is of another type than its column, put aside by an operator's decision"
    EMPTIED = "the source table was emptied (truncate), put aside by an operator's decision"
    PARTITION_TOO_LONG = "partition value longer than 200 bytes"
    PARTITION_NUL = "partition value with a NUL character"


DECISIONS = frozenset([Reason.DECIDED, Reason.EMPTIED])
"""What somebody put aside on purpose: however many they are, they stop no table."""
MAX_VALUE_BYTES = 8 << 20
MAX_DEPTH = 100  # our own recursion gives up near 180, Spark's JSON parser at 1000
MAX_NUMBER_CHARS = 1_000  # as Spark's JSON parser (Jackson's StreamReadConstraints)
MAX_KEY_BYTES = 1024
MAX_PARTITION_BYTES = 200
_ALWAYS_TOLERATED = 10


# Each may become twelve characters in a folder's name (four bytes, escaped).
HARMLESS_PARTITION_CHARS = MAX_PARTITION_BYTES // 12


_NOT_AS_DEFINED: Mapping[str, str] = {
    Reason.NOT_CHANGE: "envelope",
    Reason.NO_PREFIX: "value_format",
    Reason.OTHER_FORMAT: "value_format",
}


def doubted_setting(bad: Mapping[str, int]) -> str:
    """The field of the definition that may be what is wrong when so many records are refused for
    these reasons; empty when it is none."""
    return _NOT_AS_DEFINED.get(max(bad, key=bad.__getitem__), "")


def bad_partition(text: str) -> Reason | None:
    """Why a text cannot be the value of a partition column; None when it can."""
    if "\x00" in text:
        return Reason.PARTITION_NUL
    if len(text) <= HARMLESS_PARTITION_CHARS:
        return None
    return Reason.PARTITION_TOO_LONG if len(quote(text, safe="")) > MAX_PARTITION_BYTES else None


@dataclass(frozen=True, slots=True)
class Balance:
    """Where the records of one batch went. `records` = all the others together.

    `written` are rows that stand in the table because of this batch, `deduplicated` records that
    a later one of the same key replaced, `deleted` keys removed, `dropped` records a transform or
    the tombstone rule left out on purpose. `exploded` are the rows that exploded records gave
    beyond their first, and deletes beside a row: so many more than `records` are accounted for.
    `quarantined_deletes` are those of `quarantined` that
    are tombstones of an upsert table.
    """

    records: int = 0
    written: int = 0
    deduplicated: int = 0
    deleted: int = 0
    dropped: int = 0
    quarantined: int = 0
    exploded: int = 0
    quarantined_deletes: int = 0

    @property
    def difference(self) -> int:
        accounted = (
            self.written + self.deduplicated + self.deleted + self.dropped + self.quarantined
        )
        return self.records + self.exploded - accounted

    def __add__(self, other: Balance) -> Balance:
        return Balance(
            self.records + other.records,
            self.written + other.written,
            self.deduplicated + other.deduplicated,
            self.deleted + other.deleted,
            self.dropped + other.dropped,
            self.quarantined + other.quarantined,
            self.exploded + other.exploded,
            self.quarantined_deletes + other.quarantined_deletes,
        )


@dataclass(frozen=True, slots=True)
class QuarantineCounts:
    by_reason: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.by_reason.values())


def too_many(bad: int, total: int, limit: float) -> bool:
    """A handful of bad records never stops a table, whatever their share of a tiny batch."""
    return bad > _ALWAYS_TOLERATED and bad > limit * total
