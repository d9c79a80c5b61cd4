"""Which process reads which partitions, and what all of them brought into one slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.offsets import OffsetRange, RawCommit, RawObject, Slice
from lake_platform.domain.pool import Crew
from lake_platform.domain.registry import Declared
from lake_platform.dump.part import Part, PartJob, Wanted

# A process costs 0.4 CPU-seconds before it reads, and reads this much in less than that: with less
# to do for each of them, several are not faster than one (docs/performance.md).
_LEAST_RECORDS = 150_000
_LEAST_BYTES = 64 << 20


def jobs(
    dataset: Dataset, ranges: Mapping[int, OffsetRange], head: RawCommit | None, most: int
) -> list[PartJob]:
    """One job for each process that pays, `most` at most; one job of all partitions else."""
    backlog = {p: len(r) for p, r in ranges.items() if len(r)}
    least = _least(head)
    for count in range(min(most, len(backlog)), 1, -1):
        shares = balanced(backlog, count)
        if min(sum(backlog[p] for p in share) for share in shares) >= least:
            return [
                PartJob(
                    dataset.topic, dataset.table, {p: ranges[p] for p in share},
                    dataset.value_format,
                )
                for share in shares
            ]  # fmt: skip
    return [PartJob(dataset.topic, dataset.table, ranges, dataset.value_format)]


def balanced(backlog: Mapping[int, int], count: int) -> list[list[int]]:
    """The largest partition first, each to whom has the least so far."""
    shares: list[list[int]] = [[] for _ in range(count)]
    sizes = [0] * count
    for partition in sorted(backlog, key=lambda p: (-backlog[p], p)):
        least = sizes.index(min(sizes))
        shares[least].append(partition)
        sizes[least] += backlog[partition]
    return shares


def _least(head: RawCommit | None) -> float:
    """Records that make a process pay: large ones do it sooner."""
    if head is None or not head.total_records:
        return _LEAST_RECORDS
    return min(_LEAST_RECORDS, _LEAST_BYTES * head.total_records / max(1, head.total_bytes))


@dataclass(frozen=True, slots=True)
class Read:
    """One slice, uploaded: what all parts brought. Positions are of all partitions."""

    begin: Mapping[int, int]
    positions: Mapping[int, int]
    objects: tuple[RawObject, ...]
    order_marks: Mapping[int, int]
    misfiled: int
    declared: Mapping[int, Declared]

    @property
    def ranges(self) -> dict[int, OffsetRange]:
        pairs = ((p, self.begin[p], at) for p, at in self.positions.items())
        return {p: OffsetRange(begin, at) for p, begin, at in pairs if at > begin}


@dataclass(slots=True)
class Reading:
    """A dump while it reads: asks those who still have something to read for each slice."""

    crew: Crew[Wanted, Part]
    shares: Sequence[PartJob]
    positions: dict[int, int]
    _unfinished: set[int] = field(default_factory=set)

    @classmethod
    def begin(
        cls,
        crew: Crew[Wanted, Part],
        shares: Sequence[PartJob],
        ranges: Mapping[int, OffsetRange],
    ) -> Reading:
        unfinished = {n for n, job in enumerate(shares) if any(map(len, job.ranges.values()))}
        return cls(crew, shares, {p: r.start for p, r in ranges.items()}, unfinished)

    @property
    def finished(self) -> bool:
        return not self._unfinished

    def read(self, nonce: str, marks: Mapping[int, int], limits: Slice) -> Read:
        """Raises: OffsetsGoneError, and as `dump`."""
        each = _divided(limits, len(self._unfinished))
        asked = [
            Wanted(nonce, {p: marks[p] for p in job.ranges if p in marks}, each)
            if n in self._unfinished
            else None
            for n, job in enumerate(self.shares)
        ]
        parts = [p for p in self.crew.each(asked) if p is not None]
        begin = dict(self.positions)
        for n, part in zip(sorted(self._unfinished), parts, strict=True):
            self.positions.update(part.positions)
            if part.finished:
                self._unfinished.discard(n)
        objects = sorted(
            (o for part in parts for o in part.objects), key=lambda o: (o.partition, o.first_offset)
        )
        after = {p: at for part in parts for p, at in part.order_marks.items()}
        declared: dict[int, Declared] = {}
        for number, one in ((n, d) for part in parts for n, d in part.declared.items()):
            declared[number] = one.and_of(declared.get(number))
        return Read(
            begin, dict(self.positions), tuple(objects), {**marks, **after},
            sum(p.misfiled for p in parts),
            declared,
        )  # fmt: skip


def _divided(limits: Slice, parts: int) -> Slice:
    """A slice is as large however many read it, so is what they hold in memory together."""
    return replace(
        limits,
        max_bytes=max(1, limits.max_bytes // parts),
        max_records=max(1, limits.max_records // parts),
    )
