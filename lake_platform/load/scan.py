"""The exact look at every record of a batch before anything is written.

Decides for each record: row, delete, drop or quarantine; and for the batch: which schema changes
it brings. What it decodes for that is what the table gets: no other parser sees the records.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Literal

from lake_platform.domain.change import TRUNCATE
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.decisions import Names, Ruling
from lake_platform.domain.diff import Change, diff
from lake_platform.domain.offsets import RawObject
from lake_platform.domain.quality import Reason
from lake_platform.domain.schema import RESCUED_FIELD, Struct
from lake_platform.load.gone import Gone
from lake_platform.load.keys import TombstoneKeys
from lake_platform.load.report import Rejected, ScanReport, place_of
from lake_platform.raw.objects import split_lines
from lake_platform.records.build import build_record
from lake_platform.records.conform import (
    Conformer,
    Line,
    LongNumberError,
    head_of,
    parse_value,
    value_bytes,
)
from lake_platform.records.newcomers import Newcomers
from lake_platform.records.observe import merge_observed, observe
from lake_platform.records.opened import Opened, Opener
from lake_platform.records.passed_over import PassedOver
from lake_platform.records.row_check import row_check
from lake_platform.records.unused import Unused
from lake_platform.records.verbatim import Record

_SHOWN_CHARS = 200
# Small enough to stay in the processor's cache from bytes to columns: twice as fast as 20,000 rows.
_CHUNK_BYTES = 256 << 10


@dataclass
class Rows:
    """Records that are fit to be rows, from one chunk: `fast` as `Conformer.decode` gives them;
    `slow` as pairs of the line's head and a tuple of values. `schema` is the source schema, and
    what was only null or empty so far."""

    schema: Struct
    fast: list[Any] = field(default_factory=list)
    slow: list[tuple[Line, tuple[Any, ...]]] = field(default_factory=list)


class Scanner:
    """Scans raw objects of one dataset against a source schema, whose columns the rows have.

    Once a record brings something new there are no more rows: they wait for the schema that the
    report asks for. With `projecting` what is new is left out instead, and not reported.
    """

    def __init__(
        self,
        dataset: Dataset,
        source: Struct,
        projecting: bool = False,
        columns: Struct | None = None,
        ruling: Ruling | None = None,
        unused: Collection[Names] = (),
    ) -> None:
        """`columns` are the table's when steps make others of `source`, of which `unused` is what
        these never look at. What is rescued `source` says itself (Ruling.rescuing)."""
        self._ruling = ruling or Ruling()
        self._named = dataset.record_columns
        self._dataset, self._source, self._projecting = dataset, source, projecting
        keys = TombstoneKeys(dataset, source, columns or source)
        self._upsert = dataset.mode == "upsert"
        self._quarantine_tombstones = not self._upsert and dataset.tombstones == "quarantine"
        # What no step hands on would be lost in `_rescued`.
        keeps = not dataset.transformed or (columns or source).same(RESCUED_FIELD) is not None
        growing = self._ruling.usual != "report"
        self._newcomers = Newcomers(
            dataset.hints, growing and keeps, dataset.case_twins != "rescue"
        )
        self.report = ScanReport(source, source, dataset if growing else None)
        self._gone = Gone(keys, self.report.deletes)
        self._found: list[Rows] = []
        self._passed_over = PassedOver(dataset)
        self._opener = Opener(dataset, keys.named)
        self._unused = Unused(self._ruling.left_out(unused))
        self._use(source)

    def scan(self, raw: RawObject, text: bytes) -> Iterator[Rows]:
        self.report.records += raw.records
        for chunk in _chunks(text):
            self._found = [Rows(self._conformer.schema)]
            self._scan_chunk(raw, chunk)
            self.report.rows += sum(len(r.fast) + len(r.slow) for r in self._found)
            if not self.report.changes:
                self._count_passed_over()
                yield from self._found

    def _count_passed_over(self) -> None:
        if self._passed_over.any:
            for rows in self._found:
                fast = [line.value for line in rows.fast]
                self.report.passed_over += self._passed_over.count(fast, rows.schema)

    def _use(self, schema: Struct) -> None:
        schema = self._passed_over.known(schema)
        self._conformer = Conformer(schema, lenient=self._projecting)
        self._look = row_check(self._dataset, schema)

    def _scan_chunk(self, raw: RawObject, chunk: bytes) -> None:
        text, slow, opened = chunk, False, []
        if self._opener.any:
            opened = [self._opener.line(line) for line in split_lines(chunk)]
            text = b"".join(one.data + b"\n" for one in opened)
            slow = not all(one.plain for one in opened)
        suspicious = self._conformer.suspicious(text)
        try:
            decoded = None if suspicious or slow else self._conformer.decode_all(text)
        except (ValueError, RecursionError):
            decoded = None
        if decoded is None:
            for line, one in zip(split_lines(chunk), opened or repeat(None), strict=False):
                self._scan_line(raw, line, one or Opened(line), suspicious)
        elif self._look is None and all(d.value is not None for d in decoded):
            self._found[-1].fast = decoded
        else:
            for line, one in zip(split_lines(chunk), decoded, strict=True):
                self._sort(raw, line, one)

    def _scan_line(self, raw: RawObject, line: bytes, opened: Opened, suspicious: bool) -> None:
        if opened.ends:
            self._gives_no_row(raw, line, opened)
            return
        if not opened.keys:
            self._row(raw, line, opened, suspicious)
            return
        aside = len(self.report.rejected) + self.report.dropped
        self._row(raw, line, opened, suspicious)
        if aside == len(self.report.rejected) + self.report.dropped:
            self._gone.let_go(line, opened)

    def _row(self, raw: RawObject, line: bytes, opened: Opened, suspicious: bool) -> None:
        if opened or (suspicious and self._conformer.suspicious(opened.data)):
            self._slow(raw, line, opened)
            return
        try:
            decoded = self._conformer.decode(opened.data)
        except (ValueError, RecursionError):
            self._slow(raw, line, opened)
            return
        self._sort(raw, line, decoded)

    def _sort(self, raw: RawObject, line: bytes, decoded: Any) -> None:
        if decoded.value is None:
            self._no_value(raw, line)
        elif self._look and (reason := self._look(lambda i: getattr(decoded.value, f"f{i}"))):
            self._reject(raw, line, reason)
        else:
            self._found[-1].fast.append(decoded)

    def _slow(self, raw: RawObject, line: bytes, opened: Opened) -> None:
        head = head_of(line)
        if head.reason is not None or head.tombstone:
            self._no_value(raw, line)
            return
        try:
            value = parse_value(opened.data)
        except LongNumberError:
            self._reject(raw, line, Reason.NUMBER_TOO_LONG)
            return
        record = Record(value_bytes(opened.data) or b"null")
        for one in opened.unparsed:
            record.rescued[one.pointer] = one.text
            record.paths.append(one.path)
        value, passed_over = self._passed_over.without(value, self._conformer.schema)
        value, unfit = self._unused.without(value, self._conformer.schema)
        passed_over += unfit
        value = self._newcomers.without(value, self._conformer.schema, record)
        seen = observe(value, self._conformer.schema)
        if isinstance(seen, Struct):  # else an empty object: all columns absent
            if ends := self._conflict(seen):
                self._end(raw, line, ends)
                return
            if not self._projecting:
                self._note(raw, line, value, seen)
        try:
            row = build_record(value, self._conformer.schema, record)
        except ValueError:
            # What a change that is reported asks for; any other would show as not accounted for.
            self.report.rows += bool(self.report.changes)
            return
        if self._look and (reason := self._look(row.__getitem__)):
            self._reject(raw, line, reason)
            return
        self._found[-1].slow.append((head, row))
        self.report.passed_over += passed_over
        if record.rescued or record.kept_out:
            self._note_rescued(raw, line, value, record)

    def _note_rescued(
        self, raw: RawObject, line: bytes, value: dict[str, Any], record: Record
    ) -> None:
        if not self._projecting and not self._source.same(RESCUED_FIELD):
            self._note(raw, line, value, Struct((RESCUED_FIELD,)))
        for path, text in zip(record.paths, record.rescued.values(), strict=True):
            self.report.note_rescued(path, place_of(raw, line) | {"value": text[:_SHOWN_CHARS]})
        for path, text in record.kept_out.values():
            self.report.note_kept_out(path, place_of(raw, line) | {"value": text[:_SHOWN_CHARS]})

    def _conflict(self, seen: Struct) -> Reason | Literal["reject"] | None:
        """How the record ends for a value of another type; None where it goes on."""
        ruling = self._ruling
        if ruling.usual == "report":
            return None
        if not (self._named or ruling.usual == "quarantine" or ruling.columns):
            return None
        changes = diff(self._source, seen, partial=True)
        breaking = [c for c in changes if c.verdict == "breaking"]
        if any(c.path in self._named for c in breaking):
            return Reason.KEY_CONFLICT
        known = [c.path for c in breaking if c.before or ruling.decided(c.path)]
        actions = {ruling.of(path) for path in known}
        if "reject" in actions:
            return "reject"
        if "quarantine" not in actions:
            return None
        return Reason.DECIDED if any(map(ruling.decided, known)) else Reason.CONFLICT

    def _end(self, raw: RawObject, line: bytes, ends: Reason | Literal["reject"]) -> None:
        if ends == "reject":
            self.report.dropped += 1
        else:
            self._reject(raw, line, ends)

    def _note(self, raw: RawObject, line: bytes, value: dict[str, Any], seen: Struct) -> None:
        before = self.report.observed
        changes, news = self.report.see(seen)
        self.report.count(raw, line, value, changes, news)
        if self.report.observed != before and not self.report.breaking:
            working = merge_observed(self._source, self.report.observed)
            self._use(working if isinstance(working, Struct) else self._source)
            self._found.append(Rows(self._conformer.schema))

    def _gives_no_row(self, raw: RawObject, line: bytes, opened: Opened) -> None:
        """A change event that is about no row, or about one that goes."""
        if isinstance(opened.ends, Reason):
            self._reject(raw, line, opened.ends)
        elif opened.ends == "nothing":
            self.report.dropped += 1
        elif opened.ends == "truncate":
            self._truncate(raw, line)
        elif not self._gone.delete(line, opened.keys):
            self._reject(raw, line, Reason.TOMBSTONE_KEY)

    def _truncate(self, raw: RawObject, line: bytes) -> None:
        """Stops the table until an operator has said what becomes of its rows."""
        if self._ruling.decided(TRUNCATE):
            kept = self._ruling.of(TRUNCATE) == "quarantine"
            self._end(raw, line, Reason.EMPTIED if kept else "reject")
            return
        change = Change(TRUNCATE, "truncate", "breaking")
        said = parse_value(line)
        self.report.count(raw, line, said, [change], [change])
        self.report.changes[TRUNCATE] = change
        self.report.dropped += 1

    def _no_value(self, raw: RawObject, line: bytes) -> None:
        head = head_of(line)
        if head.reason is not None:
            self.report.rejected.append(Rejected(raw, line, head.reason))
        elif not self._upsert:
            if self._quarantine_tombstones:
                self._reject(raw, line, Reason.TOMBSTONE)
            else:
                self.report.dropped += 1
        elif not self._gone.delete(line, (head.key or "",)):
            self._reject(raw, line, Reason.TOMBSTONE_KEY)

    def _reject(self, raw: RawObject, line: bytes, reason: Reason) -> None:
        self.report.rejected.append(Rejected(raw, line, reason.value))


def _chunks(text: bytes) -> Iterator[bytes]:
    """Whole lines, about `_CHUNK_BYTES` of them."""
    start = 0
    while start < len(text):
        end = text.find(b"\n", start + _CHUNK_BYTES) + 1 or len(text)
        yield text[start:end]
        start = end
