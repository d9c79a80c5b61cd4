"""The exact look at every record of a batch before anything is written.

Decides for each record: row, delete, drop or quarantine; and for the batch: which schema changes
it brings. The engine then gets only what is fit to be a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import orjson

from lake_platform.domain.batches import Delete, Exclusion
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.diff import Change, diff
from lake_platform.domain.offsets import RawObject
from lake_platform.domain.ports import ObjectStore
from lake_platform.domain.quality import MAX_KEY_BYTES, MAX_PARTITION_BYTES, Reason
from lake_platform.domain.schema import Struct, Type
from lake_platform.raw.objects import read_text, split_lines
from lake_platform.records.conform import (
    Conformer,
    Line,
    LongNumberError,
    head_of,
    merge_observed,
    observe,
    parse_value,
    repeats_a_key,
)

_SAMPLES = 5
_BREAKING_LINES = 1_000  # enough to show an operator what broke; the batch is not written anyway


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record for quarantine: its raw line, whole, and the object it is in."""

    raw: RawObject
    line: bytes
    reason: str


@dataclass
class ScanReport:
    """What a scan found. `observed` is the schema with everything new merged in."""

    records: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    excluded: list[Exclusion] = field(default_factory=list)
    deletes: list[Delete] = field(default_factory=list)
    dropped: int = 0
    changes: dict[str, Change] = field(default_factory=dict)
    samples: list[Mapping[str, Any]] = field(default_factory=list)
    observed: Struct = field(default_factory=Struct)

    @property
    def by_reason(self) -> dict[str, int]:
        return dict(Counter(r.reason for r in self.rejected))

    @property
    def breaking(self) -> list[Change]:
        return [c for c in self.changes.values() if c.verdict == "breaking"]


class Scanner:
    """Scans raw objects of one dataset against its active source schema."""

    def __init__(self, dataset: Dataset, source: Struct) -> None:
        self._dataset, self._source = dataset, source
        self._upsert = dataset.mode == "upsert"
        self._quarantine_tombstones = not self._upsert and dataset.tombstones == "quarantine"
        self.report = ScanReport(observed=source)
        self._use(Conformer(source))
        self._breaking_lines = 0

    def scan(self, objects: Iterable[RawObject], store: ObjectStore) -> ScanReport:
        """Raises: CorruptRawError when an object is not what its commit says."""
        for raw in objects:
            self._scan_object(raw, read_text(store, raw))
            if self._breaking_lines > _BREAKING_LINES:
                break
        return self.report

    def _use(self, conformer: Conformer) -> None:
        self._conformer = conformer
        # With transforms the table's columns are the engine's to check.
        named = () if self._dataset.transformed else self._dataset.primary_key
        self._key = [conformer.attributes[c] for c in named if c in conformer.attributes]
        ordering = None if self._dataset.transformed else self._dataset.ordering_field
        self._ordering = conformer.attributes.get(ordering) if ordering else None
        partition_by = () if self._dataset.transformed else self._dataset.partition_by
        self._partition = [
            conformer.attributes[c]
            for c in partition_by
            if (f := self._source.get(c)) is not None and str(f.type) == "string"
        ]
        self._checks = bool(self._key or self._ordering or self._partition)

    def _scan_object(self, raw: RawObject, text: bytes) -> None:
        self.report.records += raw.records
        suspicious = self._conformer.suspicious(text)
        for line in split_lines(text):
            if suspicious and self._conformer.suspicious(line):
                self._slow(raw, line)
                continue
            try:
                decoded = self._conformer.decode(line)
            except (ValueError, RecursionError):
                self._slow(raw, line)
                continue
            if decoded.value is None:
                self._no_value(raw, line)
            elif self._checks and (reason := self._bad_row(decoded.value)):
                self._reject(raw, line, reason)

    def _slow(self, raw: RawObject, line: bytes) -> None:
        head = head_of(line)
        if head.reason is not None or head.tombstone:
            self._no_value(raw, line)
            return
        try:
            value = parse_value(line)
        except LongNumberError:
            self._reject(raw, line, Reason.NUMBER_TOO_LONG)
            return
        self._note_changes(raw, head, value)
        if self._hides_a_conflict(line):
            self._reject(raw, line, Reason.KEY_TWICE)
        elif self._checks:
            row = {f: value.get(c) for c, f in self._conformer.attributes.items()}
            if reason := self._bad_row(SimpleNamespace(**row)):
                self._reject(raw, line, reason)

    def _hides_a_conflict(self, line: bytes) -> bool:
        """Of a key that comes twice we see the last value, but Spark's parser stumbles over an
        earlier one that does not fit the column, and would fail the whole batch."""
        try:
            self._conformer.decode(line)
        except (ValueError, RecursionError):
            return repeats_a_key(line)
        return False

    def _note_changes(self, raw: RawObject, head: Line, value: dict[str, Any]) -> None:
        seen = observe(value, self._conformer.schema)
        if not isinstance(seen, Struct):  # an empty object: all columns absent
            return
        merged = merge_observed(self.report.observed, seen)
        if not isinstance(merged, Struct):
            return
        changes = diff(self._source, seen, partial=True)
        # Columns that are new in this batch must agree among its records too.
        changes += [c for c in diff(merged, seen, partial=True) if c.kind == "type"]
        if merged != self.report.observed:
            whole = diff(self._source, merged, partial=True)
            changes += [c for c in whole if c.kind == "case_twin"]
        news = [c for c in changes if self._is_news(c)]
        self.report.changes |= {c.path: c for c in news}
        if any(c.verdict == "breaking" for c in changes):
            self._breaking_lines += 1
        if news and len(self.report.samples) < _SAMPLES:
            coordinates = {"partition": head.partition, "offset": head.offset}
            self.report.samples.append({**coordinates, "window": raw.window, "value": value})
        if merged != self.report.observed:
            self.report.observed = merged
            self._use(Conformer(_working(self._source, merged)))

    def _is_news(self, change: Change) -> bool:
        """A column's first change, or the first that breaks it after one that did not."""
        known = self.report.changes.get(change.path)
        return known is None or (known.verdict != "breaking" and change.verdict == "breaking")

    def _no_value(self, raw: RawObject, line: bytes) -> None:
        head = head_of(line)
        if head.reason is not None:
            self.report.rejected.append(Rejected(raw, line, head.reason))
        elif not self._upsert:
            if self._quarantine_tombstones:
                self._reject(raw, line, Reason.TOMBSTONE)
            else:
                self.report.dropped += 1
        else:
            key = key_of_tombstone(head.key, self._dataset.primary_key, self._source)
            if key is None:
                self._reject(raw, line, Reason.TOMBSTONE_KEY)
            else:
                order = head.timestamp if head.order is None else head.order
                self.report.deletes.append(Delete(head.partition, head.offset, order, key))

    def _bad_row(self, value: Any) -> Reason | None:
        size = 0
        for attribute in self._key:
            part = getattr(value, attribute)
            if part is None:
                return Reason.NULL_KEY
            size += len(part.encode()) if isinstance(part, str) else 8
        if size > MAX_KEY_BYTES:
            return Reason.KEY_TOO_LARGE
        if self._ordering and getattr(value, self._ordering) is None:
            return Reason.NULL_ORDERING
        for attribute in self._partition:
            text = getattr(value, attribute)
            if (
                text
                and len(text) * 4 > MAX_PARTITION_BYTES // 3
                and (len(quote(text, safe="")) > MAX_PARTITION_BYTES)
            ):
                return Reason.PARTITION_TOO_LONG
        return None

    def _reject(self, raw: RawObject, line: bytes, reason: Reason) -> None:
        head = head_of(line)
        self.report.rejected.append(Rejected(raw, line, reason.value))
        self.report.excluded.append(Exclusion(head.partition, head.offset))


def key_of_tombstone(
    key: str | None, primary_key: tuple[str, ...], source: Struct
) -> dict[str, Any] | None:
    """The primary key a tombstone's Kafka key names; None when it does not.

    A JSON object with all key columns, or for one key column its plain text or JSON value.
    """
    if key is None:
        return None
    try:
        parsed = orjson.loads(key)
    except orjson.JSONDecodeError:
        parsed = key
    if not isinstance(parsed, dict):
        if len(primary_key) != 1:
            return None
        column = source.get(primary_key[0])
        wanted = column.type if column else None
        fits = wanted is not None and observe(parsed, wanted) == wanted
        parsed = {primary_key[0]: parsed if fits else key}
    found = {name: parsed.get(name) for name in primary_key}
    for name, value in found.items():
        column = source.get(name)
        if value is None or (column is not None and observe(value, column.type) != column.type):
            return None
    return found


def _working(source: Struct, observed: Struct) -> Struct:
    """What the fast path accepts from now on: the active types, and the new columns."""
    merged: Type = merge_observed(source, observed)
    return merged if isinstance(merged, Struct) else source
