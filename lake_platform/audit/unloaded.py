"""Columns that were dropped and came back: rows of between have NULL there, whatever their records
say."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lake_platform.domain.batches import CountedBatch
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.progress import SchemaVersion

NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Unloaded:
    """`columns` by raw commit; `starts` of the raw commits by partition, with their seqs."""

    columns: Mapping[int, frozenset[str]] = field(default_factory=dict)
    starts: Mapping[int, Sequence[tuple[int, int]]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        versions: Sequence[SchemaVersion],
        batches: Sequence[CountedBatch],
        commits: Sequence[RawCommit],
    ) -> Unloaded:
        gone = dict(_gone(versions))
        columns = {
            seq: gone[batch.schema_version]
            for batch in batches if batch.schema_version in gone
            for seq in range(batch.batch.first_seq, batch.batch.last_seq + 1)
        }  # fmt: skip
        if not columns:
            return cls()
        starts: dict[int, list[tuple[int, int]]] = {}
        for commit in commits:
            for partition, held in commit.ranges.items():
                starts.setdefault(partition, []).append((held.start, commit.seq))
        return cls(columns, {partition: sorted(found) for partition, found in starts.items()})

    def at(self, place: tuple[int, int]) -> frozenset[str]:
        """Those of the record at a partition and offset."""
        if not self.columns:
            return NONE
        partition, offset = place
        starts = self.starts.get(partition, ())
        found = bisect_right(starts, offset, key=lambda pair: pair[0])
        return self.columns.get(starts[found - 1][1], NONE) if found else NONE


def _gone(versions: Sequence[SchemaVersion]) -> Iterator[tuple[int, frozenset[str]]]:
    """By version the columns that it lacks, that came before it and are there now."""
    if not versions:
        return
    ordered = sorted(versions, key=lambda version: version.version)
    active, before = ordered[-1].source, set[str]()
    for version in ordered:
        names = {f.name for f in version.source.fields}
        lacking = frozenset(f.name for f in active.fields if f.name in before - names)
        if lacking:
            yield version.version, lacking
        before |= names
