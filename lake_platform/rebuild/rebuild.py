"""`lake rebuild`: a shadow table made of the raw of a live one under another definition, beside it,
compared with it, and swapped in. Free of CLI and Dagster.

The shadow is loaded as any table is, so a rebuild that was killed goes on where it was when it is
called again. Until it is swapped in, the live table does not notice.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.decisions import Decision
from lake_platform.domain.diff import diff
from lake_platform.domain.fitness import check_places
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.progress import DatasetRecord, SchemaVersion
from lake_platform.domain.rebuild import Rebuild, Shadow, next_generation
from lake_platform.domain.schema import Struct
from lake_platform.errors import (
    CorruptRawError,
    InvalidFieldError,
    QuarantineRatioError,
    RawExpiredError,
    RebuildStoppedError,
    SchemaBlockedError,
    StopDatasetError,
)
from lake_platform.evolution.first import derived
from lake_platform.evolution.reshaped import Reshaped, reshaped
from lake_platform.load import claims, swap
from lake_platform.load.load import load
from lake_platform.load.quiet import quiet
from lake_platform.load.results import LoadResult
from lake_platform.metastore import columns
from lake_platform.metastore.rebuilds import REBUILT
from lake_platform.metastore.repository import Repository
from lake_platform.raw import log as raw_log
from lake_platform.rebuild.asked import differing, keeps_columns
from lake_platform.rebuild.comparison import Comparison, compared
from lake_platform.rebuild.status import agreed, under_way

CheckOn = Callable[[Dataset, Struct | None], Sequence[str]]
"""What a registration would refuse of a definition, on columns that are known (UseCases.check_on);
returns warnings."""


@dataclass(frozen=True, slots=True)
class Begun:
    """`commits`: of raw, that are to be loaded; `changes`: field of the definition -> its value of
    before and after."""

    rebuild: Rebuild
    commits: int
    changes: Mapping[str, tuple[Any, Any]]
    warnings: tuple[str, ...] = ()
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Resolving:
    """What an operator said of an incident: `decisions` hold for the rebuilt table too."""

    said: str = REBUILT
    decisions: Sequence[Decision] = ()


@dataclass(frozen=True, slots=True)
class Rebuilder:
    """The use case. `metastore` is that of `ports`."""

    metastore: Repository
    ports: Ports
    limits: Limits
    check: CheckOn = lambda _dataset, _source: ()

    def begin(
        self,
        table: str,
        changes: Mapping[str, Any],
        actor: str,
        source: Struct | None = None,
        resolving: Resolving | None = None,
    ) -> Begun:
        """Begins a rebuild, or goes on with the one that is under way: then `changes` are those it
        began with, or none. `source`: the columns of the records, where they are known.
        `resolving`: what it is to make of an incident.

        Raises:
            InvalidFieldError: nothing differs, or the definition cannot be; another rebuild is
                under way; the table has no raw.
            RawExpiredError: raw of the beginning is gone.
            NotRunnableError: the dataset is retired.
        """
        self.end_left(table)
        record, known, after = agreed(self.metastore, table, changes)
        if known is not None:
            return self._resumed(known, record.dataset)
        return self._begun(record, after, actor, source, resolving or Resolving())

    def build(self, table: str) -> Iterator[LoadResult]:
        """Loads the shadow up to the end of raw; yields each batch.

        Raises: RebuildStoppedError when records do not fit it; as `load.load.load`.
        """
        shadow = under_way(self.metastore, table).shadow
        ports = replace(self.ports, metastore=quiet(self.metastore))
        limits = replace(self.limits, load_budget_seconds=math.inf)
        try:
            yield from load(shadow.table, ports, limits)
        except StopDatasetError as error:
            raise _stopped(shadow, error) from error

    def compare(self, table: str) -> Comparison:
        """Reads both tables. Raises: EngineError."""
        return compared(under_way(self.metastore, table).shadow, self.metastore, self.ports)

    def swap(self, table: str) -> DatasetRecord:
        """Puts the rebuilt table in the place of the live one, after it caught up with raw.

        Raises:
            BatchClaimedError, CommitRaceError: the live table is being written; swap again.
            RebuildStoppedError: the rebuilt table is not sound, or what came since does not fit it.
            NotRunnableError: the dataset was retired.
        """
        if self.end_left(table):
            return self.metastore.get(table)
        rebuild = under_way(self.metastore, table)
        shadow = rebuild.shadow
        self._check_sound(table, self.compare(table))
        swap.swap(rebuild, self.ports, self.limits, lambda: self._catch_up(shadow))
        return self.metastore.get(table)

    def abort(self, table: str, actor: str) -> bool:
        """Drops the rebuilt table; the live one is as it was. False when there was none.

        Raises: BatchClaimedError: it is being built or swapped, or the live table is loaded.
        """
        self.end_left(table)
        rebuild = self.metastore.rebuild(table)
        if rebuild is None:
            self.metastore.get(table)
            return False
        swap.drop(rebuild, self.ports, self.limits)
        self.metastore.drop_rebuild(table, rebuild.shadow.table, actor)
        return True

    def end_left(self, table: str) -> bool:
        """Ends the swap that a process which died had decided; whether there was one."""
        left = claims.abandoned(table, self.ports, self.limits)
        return bool(left and left.shadow and swap.settle_left(left, table, self.ports))

    def _resumed(self, known: Rebuild, before: Dataset) -> Begun:
        log = raw_log.of_table(self.ports.store, known.shadow)
        return Begun(known, sum(1 for _ in log), differing(before, known.shadow.live), resumed=True)

    def _begun(
        self,
        record: DatasetRecord,
        after: Dataset,
        actor: str,
        source: Struct | None,
        resolving: Resolving,
    ) -> Begun:
        table, before = after.table, record.dataset
        commits = self._raw(before)
        made = self.columns_of(before, after, source)
        warnings = self.check(after, made.source if made else None)
        self.metastore.begin_rebuild(
            after, f"{table}.rebuild-{uuid.uuid4().hex[:6]}", record.version, actor,
            begins_after=next_generation(self._newest_epoch(before)),
            first=self.first_version(before, after, made) if made else None,
            decisions=resolving.decisions,
            resolution=resolving.said,
        )  # fmt: skip
        known = under_way(self.metastore, table)
        return Begun(known, len(commits), differing(before, after), tuple(warnings))

    def _raw(self, dataset: Dataset) -> Sequence[RawCommit]:
        table = dataset.table
        commits = list(raw_log.of_table(self.ports.store, dataset))
        if not commits:
            raise InvalidFieldError(
                "table", table, "has no raw to be made of",
                f"dump it first: lake dump {dataset.raw_table}",
            )  # fmt: skip
        gone = [c for c in commits if c.expired_at]
        if gone:
            windows = sorted({w for c in gone for w in c.windows})
            raise RawExpiredError(
                table, gone[0].seq, gone[-1].seq, windows,
                "a table made of raw would lack their rows. Register another table on the topic: "
                "it gets what Kafka still has, and this one keeps the rows of before",
            )  # fmt: skip
        return commits

    def columns_of(self, before: Dataset, after: Dataset, source: Struct | None) -> Reshaped | None:
        """Of the records; None where they are to be made of these anew."""
        active = self.metastore.active_schema(before.table)
        if source is not None:
            return Reshaped(source)
        if active is None or not keeps_columns(before, after):
            return None
        _, exported = columns.export(self.metastore, before.table)
        try:
            return reshaped(before, after, active.source, exported, self.ports)
        except CorruptRawError:
            self._raw(before)  # raw retention may have taken it since: then that is the reason
            raise

    def first_version(self, before: Dataset, after: Dataset, made: Reshaped) -> SchemaVersion:
        active = self.metastore.active_schema(before.table)
        said = [
            f"rebuilt: {name} {old!r} became {new!r}"
            for name, (old, new) in differing(before, after).items()
            if name != "columns"
        ]
        said += [str(change) for change in diff(active.source, made.source)] if active else []
        table = derived(after, self.ports, made.source)
        check_places(after, table)
        return SchemaVersion(1, made.source, table, changes=tuple(said), mapped=made.mapped)

    def _newest_epoch(self, before: Dataset) -> int:
        last = self.ports.engine(before.format).state(before).last
        newest = claims.newest(self.ports.store, before.table)
        return max(newest.epoch if newest else 0, last.epoch if last else 0)

    def _catch_up(self, shadow: Shadow) -> None:
        for _ in self.build(shadow.rebuild_of):
            pass

    @staticmethod
    def _check_sound(table: str, found: Comparison) -> None:
        if found.problems:
            raise RebuildStoppedError(
                table, "; ".join(found.problems), "the rebuilt table must not be swapped in"
            )


def _stopped(shadow: Shadow, error: StopDatasetError) -> RebuildStoppedError:
    table = shadow.rebuild_of
    again = f"drop it (lake rebuild {table} --abort), and begin again with"
    if isinstance(error, SchemaBlockedError):
        return RebuildStoppedError(
            table, f"values do not fit: {'; '.join(error.changes)}",
            f"{again} a hint besides, as in --change 'columns.<path>={{\"type\": \"json\"}}', or "
            f"with --change on_conflict=rescue",
        )  # fmt: skip
    if isinstance(error, QuarantineRatioError):
        return RebuildStoppedError(
            table, f"{error.bad} of {error.total} records of a batch would go to quarantine, more "
            f"than max_quarantine_ratio={error.limit:g}",
            f"{again} --change max_quarantine_ratio=1.0 besides",
        )  # fmt: skip
    why = str(error).replace(shadow.table, table)
    return RebuildStoppedError(
        table,
        why,
        f"go on after that: lake rebuild {table}; or drop it: lake rebuild {table} --abort",
    )
