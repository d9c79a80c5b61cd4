"""What a look at the records of a batch found, object by object, put together in their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lake_platform.domain.batches import Delete
from lake_platform.domain.casts import Lost
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.diff import Change, diff
from lake_platform.domain.hints import RECORD_KEY
from lake_platform.domain.mapping import Path, shown
from lake_platform.domain.offsets import RawObject
from lake_platform.domain.rules import Broken, added
from lake_platform.domain.schema import Struct
from lake_platform.records.conform import head_of, value_bytes
from lake_platform.records.newcomers import closing
from lake_platform.records.observe import merge_observed

SAMPLES = 5
_SAMPLE_BYTES = 4_096
_FEW_RESCUED = 100


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record for quarantine: its raw line, whole, and the object it is in."""

    raw: RawObject
    line: bytes
    reason: str


@dataclass(slots=True)
class Found:
    """How many of a kind, and the first: its place, and the value or the record it is in."""

    count: int
    first: Mapping[str, Any]


@dataclass
class ScanReport:
    """`source` is what the records were judged by, `observed` that with everything new merged in,
    as far as `limits` allow; `rows` counts the records that were decoded, `passed_over` the values
    that a hint drops, by its path, and those that do not fit and no step looks at; `rescued` is by
    path, and counts values; `kept_out` counts those of keys that make no column, by the path of
    their object; `valued` are columns with a value, where `absent_for` asks; `broken` by that of a
    change that breaks, and counts records; `rules` are broken ones by the name of their condition;
    `lost` is what casts of the steps made NULL of, by column."""

    source: Struct = field(default_factory=Struct)
    observed: Struct = field(default_factory=Struct)
    limits: Dataset | None = None
    records: int = 0
    rows: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    deletes: list[Delete] = field(default_factory=list)
    dropped: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)
    changes: dict[str, Change] = field(default_factory=dict)
    samples: list[Mapping[str, Any]] = field(default_factory=list)
    rescued: dict[Path, Found] = field(default_factory=dict)
    kept_out: dict[Path, Found] = field(default_factory=dict)
    valued: set[str] = field(default_factory=set)
    broken: dict[str, Found] = field(default_factory=dict)
    rules: dict[str, Broken] = field(default_factory=dict)
    lost: dict[str, Lost] = field(default_factory=dict)

    @property
    def by_reason(self) -> dict[str, int]:
        return dict(Counter(r.reason for r in self.rejected))

    @property
    def rescued_counts(self) -> dict[str, int]:
        """All that is in `_rescued`, by path; `a.*` are keys of `a` that have no column."""
        found = {shown(path): r.count for path, r in self.rescued.items()}
        return found | {keys_of(p): r.count for p, r in self.kept_out.items()}

    @property
    def breaking(self) -> list[Change]:
        return [c for c in self.changes.values() if c.verdict == "breaking"]

    @property
    def unaccounted(self) -> int:
        """Records that were accepted and not decoded: none, or the code is wrong."""
        deleted = len(self.deletes) - self.beside
        return self.records - self.rows - len(self.rejected) - deleted - self.dropped

    @property
    def beside(self) -> int:
        """Deletes of the key that a row had before."""
        return sum(d.beside for d in self.deletes)

    def see(self, seen: Struct) -> tuple[list[Change], list[Change]]:
        """Takes over what a record looks like; gives back what is changed by it, and what of that
        is news."""
        merged = merge_observed(self.observed, seen)
        if not isinstance(merged, Struct):
            return [], []
        if self.limits is not None:
            merged = closing(self.source, merged, self.limits)
        changes = diff(self.source, seen, partial=True)
        # Columns that are new in this batch must agree among its records too.
        changes += [c for c in diff(merged, seen, partial=True) if c.kind == "type"]
        if merged != self.observed:
            whole = diff(self.source, merged, partial=True)
            changes += [c for c in whole if c.kind in ("case_twin", "closed")]
        self.observed = merged
        news = [c for c in changes if self._is_news(c)]
        self.changes |= {c.path: c for c in news}
        return changes, news

    def count(
        self,
        raw: RawObject,
        line: bytes,
        value: Mapping[str, Any],
        changes: Sequence[Change],
        news: Sequence[Change],
    ) -> None:
        """Of what a record changes, which is what `see` gave for it."""
        breaking = {c.path for c in changes if c.verdict == "breaking"}
        shown_now = bool(news) and len(self.samples) < SAMPLES
        if not shown_now and not breaking - self.broken.keys():
            for path in breaking:
                self.broken[path].count += 1
            return
        sample = place_of(raw, line) | {"value": _cut(value, line)}
        for path in breaking:
            self.broken.setdefault(path, Found(0, sample)).count += 1
        if shown_now:
            self.samples.append(sample | {"changes": sorted({c.path for c in news})})

    def details(self, changes: Sequence[Change]) -> dict[str, dict[str, Any]]:
        """Of changes that break, by path: records, their share, and the first of them."""
        rescued = {shown(path): found for path, found in self.rescued.items()}
        held = {c.path: f for c in changes if (f := self.broken.get(c.path) or rescued.get(c.path))}
        return {
            path: {
                "records": found.count,
                "share": found.count / max(1, self.records),
                "first": found.first,
            }
            for path, found in held.items()
        }

    def note_rescued(self, path: Path, first: Mapping[str, Any], count: int = 1) -> None:
        self.rescued.setdefault(path, Found(0, first)).count += count

    def note_kept_out(self, path: Path, first: Mapping[str, Any], count: int = 1) -> None:
        self.kept_out.setdefault(path, Found(0, first)).count += count

    def flooded(self, ratio: float, accepted: Callable[[str], bool]) -> list[Change]:
        """Paths of which more is rescued than is fine, and not accepted, as changes that break."""
        most = max(_FEW_RESCUED, ratio * self.rows)
        return [
            Change(shown(path), "flood", "breaking", "", f"{r.count} of {self.rows} values rescued")
            for path, r in self.rescued.items()
            if r.count > most and not accepted(shown(path))
        ]

    def add(self, later: ScanReport) -> None:
        """Takes over what was found in objects behind those of this report."""
        self.records += later.records
        self.rows += later.rows
        self.rejected += later.rejected
        self.deletes += later.deletes
        self.dropped += later.dropped
        self.passed_over += later.passed_over
        self.changes |= {c.path: c for c in later.changes.values() if self._is_news(c)}
        for path, rescued in later.rescued.items():
            self.note_rescued(path, rescued.first, rescued.count)
        for path, kept in later.kept_out.items():
            self.note_kept_out(path, kept.first, kept.count)
        for column, broken in later.broken.items():
            self.broken.setdefault(column, Found(0, broken.first)).count += broken.count
        self.rules = added(self.rules, later.rules)
        self.valued |= later.valued
        self.see(later.observed)
        self.samples = [*self.samples, *later.samples][:SAMPLES]

    def _is_news(self, change: Change) -> bool:
        """A column's first change, or the first that breaks it after one that did not."""
        known = self.changes.get(change.path)
        return known is None or (known.verdict != "breaking" and change.verdict == "breaking")


def keys_of(path: Path) -> str:
    """Of keys of the object there that have no column, for people: `a.b.*`."""
    return f"{shown(path)}.*" if path else "*"


def place_of(raw: RawObject, line: bytes) -> dict[str, Any]:
    head = head_of(line)
    return {"partition": head.partition, "offset": head.offset, "window": raw.window}


def _cut(value: Mapping[str, Any], line: bytes) -> Any:
    """Small records as they are, of others the beginning of their text."""
    if len(line) <= _SAMPLE_BYTES:
        return {key: item for key, item in value.items() if key != RECORD_KEY}
    text = (value_bytes(line) or b"")[:_SAMPLE_BYTES]
    return text.decode(errors="replace") + "…"
