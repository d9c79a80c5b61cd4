"""Statistics of batches as rows of the metastore, and how those that share raw commits add up."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass

from lake_platform.domain.batches import WriteResult
from lake_platform.domain.casts import Lost
from lake_platform.domain.quality import Balance
from lake_platform.metastore.tables import BatchRow


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """One applied batch. `counted`: part of the totals; a batch applied again within a larger one
    is not. `lost`: rows by column that lost a value in a cast, `seconds` by what they went to; None
    where nobody counted them."""

    table: str
    batch: str
    applied: int
    epoch: int
    instant: str
    schema_version: int
    replay: bool
    counted: bool
    balance: Balance
    windows: Mapping[str, int]
    quarantine_keys: tuple[str, ...]
    files: int
    bytes: int
    recorded_at: int
    lost: Mapping[str, int] | None = None
    rescued: Mapping[str, int] | None = None
    seconds: Mapping[str, float] | None = None

    @property
    def first(self) -> int:
        """The first raw commit."""
        return int(self.batch.partition("-")[0])

    @property
    def last(self) -> int:
        return int(self.batch.partition("-")[2])


def within(inner: BatchRow, outer: BatchRow) -> bool:
    return outer.first_seq <= inner.first_seq and inner.last_seq <= outer.last_seq


def minus(delta: Balance, row: BatchRow) -> Balance:
    if not row.counted:
        return delta
    return delta + Balance(**{name: -value for name, value in row.balance.items()})


def row_of(
    table: str,
    result: WriteResult,
    windows: Mapping[str, int],
    rescued: Mapping[str, int] | None,
    lost: Mapping[str, Lost] | None,
    absent: Collection[str] | None,
    seconds: Mapping[str, float] | None,
    now: int,
) -> BatchRow:
    applied = result.applied
    return BatchRow(
        table_name=table,
        batch=applied.batch.id,
        first_seq=applied.batch.first_seq,
        last_seq=applied.batch.last_seq,
        applied=applied.applied,
        epoch=applied.epoch,
        instant=applied.instant,
        schema_version=applied.schema_version,
        replay=applied.replay,
        balance=asdict(applied.balance),
        windows=dict(windows),
        quarantine_keys=list(applied.quarantine_keys),
        rescued=None if rescued is None else dict(rescued),
        lost_by_cast=None if lost is None else {name: one.lost for name, one in lost.items()},
        absent=None if absent is None else sorted(absent),
        seconds=None if seconds is None else dict(seconds),
        files=result.files,
        bytes=result.bytes,
        recorded_at=now,
    )


def statistics_of(row: BatchRow) -> BatchStatistics:
    return BatchStatistics(
        row.table_name,
        row.batch,
        row.applied,
        row.epoch,
        row.instant,
        row.schema_version,
        row.replay,
        row.counted,
        Balance(**row.balance),
        row.windows,
        tuple(row.quarantine_keys),
        row.files,
        row.bytes,
        row.recorded_at,
        row.lost_by_cast,
        row.rescued,
        row.seconds,
    )
