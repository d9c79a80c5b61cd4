"""The audit from stored digests: no topic and no raw object is read.

The raw log says of every object how many records it has, the sum of their offsets, and how many of
them are tombstones. Rows of table and quarantine are counted and summed over the offset range of
each raw commit and partition (so a row can only stand for a record of its own commit), and by hour
within it. A digest does not see two wrongs whose offsets add up to the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lake_platform.audit.judge import HOUR
from lake_platform.audit.ledger import Ledger
from lake_platform.audit.raw import listed_objects
from lake_platform.audit.report import NO_WINDOW, AuditReport, Counts, Problem, WindowLine, in_order
from lake_platform.audit.sources import Files, Sources
from lake_platform.audit.subject import Subject, settle_drops
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.offsets import RawCommit, RawObject
from lake_platform.domain.quality import Reason
from lake_platform.domain.windows import HOUR_MS, window_start_ms

_MODULUS = 1 << 64
_ROWS = f"""
WITH held AS (
  SELECT part, off, sum(t) AS t, sum(q) AS q, max(kept) AS kept, min(win) AS win FROM (
    SELECT part, off, 1 AS t, 0 AS q, 0 AS kept, {HOUR.format("ts")} AS win FROM lake
    UNION ALL
    SELECT part, off, 0, 1, (reason = $tombstone)::INT, win FROM quarantine) GROUP BY 1, 2
)
SELECT CASE WHEN h.off < s.last THEN s.seq END AS seq, h.part, h.win,
  count(*) AS places, sum(h.t) AS rows, sum(h.q) AS quarantined, sum(h.off) AS total,
  sum(h.kept) AS kept, sum(h.kept * h.off) AS kept_total
FROM held h ASOF LEFT JOIN spans s ON h.part = s.part AND h.off >= s.first
GROUP BY 1, 2, 3
"""  # noqa: S608 - no value of a record or definition is in it

_TWICE = """
SELECT coalesce(sum(n - 1), 0) FROM (
  SELECT count(*) AS n FROM (SELECT DISTINCT part, off, key FROM lake_keys) GROUP BY key)
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """Tombstones in quarantine: how many, and the sum of their offsets."""

    places: int = 0
    total: int = 0


@dataclass(slots=True)
class Digest:
    """What is expected of records, or found: `places` are distinct coordinates, `total` the sum of
    their offsets (None: not known)."""

    places: int = 0
    total: int | None = 0
    rows: int = 0
    quarantined: int = 0
    kept: Kept = Kept()

    def add(
        self, places: int, total: int | None, rows: int = 0, quarantined: int = 0,
        kept: Kept | None = None,
    ) -> None:  # fmt: skip
        self.places += places
        self.total = None if self.total is None or total is None else self.total + total
        self.rows += rows
        self.quarantined += quarantined
        if kept is not None:
            self.kept = Kept(self.kept.places + kept.places, self.kept.total + kept.total)


@dataclass(slots=True)
class Stretch:
    """One partition of one raw commit, by hour. `dated`: every record is filed under the hour of
    its own clock, so rows of the table can be told apart by hour, too."""

    seq: int
    dated: bool = True
    objects: list[RawObject] = field(default_factory=list)
    found: dict[str, Digest] = field(default_factory=lambda: defaultdict(Digest))

    @property
    def windows(self) -> list[str]:
        return sorted({o.window for o in self.objects})

    @property
    def only_window(self) -> str:
        return self.windows[0] if len(self.windows) == 1 else NO_WINDOW


def cheap(
    ledger: Ledger, sources: Sources, subject: Subject, problems: list[Problem]
) -> AuditReport:
    """Table, its keys and quarantine are in the ledger already."""
    dataset = subject.dataset
    problems += raw_problems(sources.files, dataset, subject.commits)
    lines = judge_digests(ledger, subject, stretches(subject.commits))
    twice = keys_twice(ledger) if dataset.mode == "upsert" else 0
    if twice:
        lines = (*lines, WindowLine(NO_WINDOW, Counts(duplicated=twice)))
    lines, notes = settle_drops(subject, lines)
    return replace(
        subject.report(deep=False), lines=in_order(lines), problems=tuple(problems), notes=notes
    )


def keys_twice(ledger: Ledger) -> int:
    """Rows of an upsert table whose key is there already, beyond those of the same record."""
    return int(ledger.run(_TWICE)[0][0])


def stretches(commits: Sequence[RawCommit]) -> dict[tuple[int, int], Stretch]:
    found: dict[tuple[int, int], Stretch] = {}
    for commit in commits:
        for raw in commit.objects:
            stretch = found.setdefault((commit.seq, raw.partition), Stretch(commit.seq))
            stretch.objects.append(raw)
            stretch.dated = stretch.dated and _dated(raw)
    return found


def _dated(raw: RawObject) -> bool:
    start = window_start_ms(raw.window)
    return start <= raw.min_timestamp and raw.max_timestamp < start + HOUR_MS


def judge_digests(
    ledger: Ledger,
    subject: Subject,
    known: Mapping[tuple[int, int], Stretch],
    *,
    whole: bool = True,
) -> tuple[WindowLine, ...]:
    """Append: lost, duplicated and alien by count and sum. With SQL steps only what is too much
    shows; what is missing may have been left out by them. `whole`: a row outside `known` is alien.
    """
    counts: dict[str, Counts] = defaultdict(Counts)
    for row in ledger.records(_ROWS, tombstone=str(Reason.TOMBSTONE)):
        stretch = known.get((row["seq"], row["part"]))
        places, rows, quarantined = int(row["places"]), int(row["rows"]), int(row["quarantined"])
        if stretch is not None:
            window = row["win"] if stretch.dated else stretch.only_window
            kept = Kept(int(row["kept"]), int(row["kept_total"]))
            stretch.found[window].add(places, int(row["total"]), rows, quarantined, kept)
        elif whole:
            alien = rows + quarantined
            counts[row["win"]] += Counts(table=rows, quarantined=quarantined, alien=alien)
    unclear: set[str] = set()
    for stretch in known.values():
        for window, part in _judged(stretch, subject).items():
            counts[window] += part
            if window == NO_WINDOW and not part.sound:
                unclear.update(stretch.windows)
    return in_order(
        WindowLine(w, counts[w], _undecided(counts[w], subject.dataset, w in unclear))
        for w in {*counts, *unclear}
    )


def _undecided(counts: Counts, dataset: Dataset, unclear: bool) -> str:
    if unclear:
        return "records are wrong in one of the hours their clocks, which are not believed, span"
    if counts.filtered:
        return (
            f"a SQL step, or an operator's decision, may have left out the {counts.filtered} "
            f"records that are nowhere"
        )
    if counts.records and dataset.mode == "upsert":
        return "an upsert keeps one record a key; which, only the records tell"
    return ""


def _judged(stretch: Stretch, subject: Subject) -> Mapping[str, Counts]:
    expected: dict[str, list[RawObject]] = defaultdict(list)
    for raw in stretch.objects:
        expected[raw.window if stretch.dated else stretch.only_window].append(raw)
    return {
        window: _compare(expected[window], stretch.found[window], subject, stretch.seq)
        for window in {*expected, *stretch.found}
    }


def _compare(objects: Iterable[RawObject], found: Digest, subject: Subject, seq: int) -> Counts:
    held, dataset, pending = list(objects), subject.dataset, seq > subject.applied
    drops = subject.drops_tombstones and not pending
    wanted, dropped = _wanted(held, found.kept if drops else None)
    records = sum(o.records for o in held)
    counts = Counts(
        records=records, raw=records, table=found.rows, quarantined=found.quarantined,
        dropped=dropped, duplicated=found.rows + found.quarantined - found.places,
    )  # fmt: skip
    missing = wanted.places - found.places
    if missing < 0:
        return replace(counts, alien=-missing)
    if pending:
        return replace(counts, pending=missing)
    if dataset.mode == "upsert":
        return counts
    made = dataset.transformed or dataset.envelope != "none"
    if made or subject.rejects.covers(seq):
        return replace(counts, filtered=missing)
    swapped = int(not missing and _differ(wanted.total, found.total))
    return replace(counts, lost=missing + swapped, alien=swapped)


def _wanted(objects: Iterable[RawObject], kept: Kept | None) -> tuple[Digest, int]:
    """What must be in table and quarantine, and how many tombstones are left out. `kept` are the
    tombstones in quarantine; None: none may be left out."""
    wanted, dropped = Digest(), 0
    for raw in objects:
        gone = 0 if kept is None else _tombstone_sum(raw)
        wanted.add(raw.records, None if gone is None else raw.offset_sum - gone)
        dropped += 0 if kept is None else raw.tombstones
    if kept is not None:
        dropped -= kept.places
        wanted.add(0, kept.total)
    wanted.places -= dropped
    return wanted, dropped


def _tombstone_sum(raw: RawObject) -> int | None:
    return raw.tombstone_offset_sum if raw.tombstones else 0


def _differ(wanted: int | None, found: int | None) -> bool:
    """Sums are compared where the log has them: old logs do not know those of tombstones."""
    return wanted is not None and found is not None and (wanted - found) % _MODULUS != 0


def raw_problems(files: Files, dataset: Dataset, commits: Sequence[RawCommit]) -> list[Problem]:
    """Raw by a blind listing: every object the log names is there, with its size."""
    listed = listed_objects(files, dataset.topic, dataset.raw_table)
    found = []
    for raw in (o for c in commits if not c.expired_at for o in c.objects):
        held = listed.get(raw.key)
        if held is None:
            found.append(Problem(raw.window, f"raw object {raw.key!r} is gone"))
        elif held.size != raw.stored_bytes:
            text = f"raw object {raw.key!r} has {held.size} bytes, not {raw.stored_bytes}"
            found.append(Problem(raw.window, text))
    return found
