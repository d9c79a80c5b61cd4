"""Use cases on definitions: what API, CLI and datasets as code do, each one or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.decisions import STEPS, Decision
from lake_platform.domain.fitness import check_against_schema
from lake_platform.domain.hints_fit import check_hints
from lake_platform.domain.mapping import Look, Mapped
from lake_platform.domain.offsets import Gap, OffsetRange
from lake_platform.domain.ports import Kafka
from lake_platform.domain.progress import DatasetRecord, SchemaVersion
from lake_platform.domain.resolutions import Asked
from lake_platform.domain.schema import (
    Struct,
)
from lake_platform.errors import DatasetNotFoundError, InvalidFieldError, NameTakenError
from lake_platform.metastore import resolving
from lake_platform.metastore.beginning import RawOf, beginning_gone
from lake_platform.metastore.ddl import (
    Hints,
    new_column,
    with_column,
    without_column,
)
from lake_platform.metastore.incidents import Incident, Outcome
from lake_platform.metastore.model import changed
from lake_platform.metastore.repository import Repository
from lake_platform.metastore.resolving import Rebuilding, changeable
from lake_platform.metastore.schedules import check_schedule

Infer = Callable[[Kafka, Dataset], Look]
"""Schema and warnings from some of a topic's records (sight.infer.look)."""
CheckSteps = Callable[[Dataset], None]
"""Raises InvalidFieldError for a transform that cannot run, or a rule that cannot be."""
Advise = Callable[[Dataset, Struct | None], Sequence[str]]
"""Warnings about a definition and the schema of its topic (load.advice)."""
CheckSource = Callable[[Dataset, Struct], Sequence[str]]
"""Raises InvalidFieldError for SQL that can never work on records of this schema, and for a rule
over a column that is not there; returns warnings (adapters.spark.registration)."""
MissingRanges = Callable[[str], Mapping[int, OffsetRange]]
"""Offsets of a table's topic that were never read and are gone (ingest.dump.missing_ranges)."""
HasRawLog = Callable[[str], bool]
"""Whether the raw log of a table is in the storage."""
Notify = Callable[[str], None]
"""Told the table after its definition changed; must not raise."""


@dataclass(frozen=True, slots=True)
class Registration:
    """`schema` is None while the topic is empty; the first load infers it then. `mapped`: how the
    paths of its records come to columns."""

    record: DatasetRecord
    schema: SchemaVersion | None
    mapped: Sequence[Mapped] = field(default_factory=tuple)
    warnings: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class UseCases:
    """The use cases, over the metastore and what they ask outside of it."""

    store: Repository
    kafka: Kafka
    infer: Infer
    check_steps: CheckSteps = lambda _: None
    advise: Advise = lambda *_: ()
    notify: Notify = lambda _: None
    check_source: CheckSource = lambda _, __: ()
    raw_of: RawOf = lambda _table, _topic_id: {}
    has_raw_log: HasRawLog = lambda _: True
    check_rules: CheckSteps = lambda _: None

    def register_dataset(self, dataset: Dataset, actor: str) -> Registration:
        """Keeps the dataset with schema version 1.

        Raises:
            NameTakenError: the table name is in use.
            InvalidFieldError: no such topic, or a column the first messages do not have.
            KafkaUnavailableError, MetastoreUnavailableError, StorageUnavailableError: try again;
                nothing was kept.
        """
        self._check_form(dataset, None)
        if self.store.name_taken(dataset.table):
            raise NameTakenError(dataset.table)
        found = self.look(dataset)
        sight = found.sight
        record = self.store.register(dataset, sight.source if sight else None, actor, sight)
        self.notify(dataset.table)
        active = self.store.active_schema(dataset.table)
        return Registration(record, active, sight.mapped if sight else (), found.warnings)

    def look(self, dataset: Dataset) -> Look:
        """What a registration finds in the topic: the schema, and what to warn of.

        Raises: as `register_dataset`; nothing is kept.
        """
        found = self.infer(self.kafka, dataset)
        source = found.sight.source if found.sight else None
        warnings = list(found.warnings)
        if source is not None:
            check_against_schema(dataset, source)
            warnings += self.check_source(dataset, source)
        elif not warnings:
            warnings = [
                f"topic {dataset.topic} holds no record yet: schema version 1 comes with the first"
            ]
        warnings += [*self.advise(dataset, source), *self._beginning_gone(dataset)]
        return replace(found, warnings=warnings)

    def change_dataset(
        self, table: str, changes: Mapping[str, Any], expected_version: int, actor: str
    ) -> DatasetRecord:
        """Replaces fields by JSON values. Raises: ConflictError, InvalidFieldError."""
        before = self.store.get(table)
        after = changed(before.dataset, changes)
        self._check_form(after, before.dataset)
        self._check_rows(before.dataset, after)
        record = self.store.update(table, changes, expected_version, actor)
        if record.version != before.version:
            if _rows_change(before.dataset, after):
                self._look_again(table, actor)
            self.notify(table)
        return record

    def _look_again(self, table: str, actor: str) -> None:
        """A break that the steps brought may be undone with them."""
        for incident in self.store.incidents(table, "OPEN"):
            if incident.batch == STEPS:
                self.store.settle(incident.id, Outcome("the steps changed"), actor)

    def pause(self, table: str, actor: str) -> DatasetRecord:
        return self._notified(self.store.pause(table, actor))

    def resume(self, table: str, actor: str) -> DatasetRecord:
        return self._notified(self.store.resume(table, actor))

    def retire(self, table: str, actor: str) -> DatasetRecord:
        """Stops both phases; files, raw and history stay, and the name stays taken."""
        return self._notified(self.store.retire(table, actor))

    def unretire(self, table: str, actor: str) -> DatasetRecord:
        """Goes on where it stood when it was retired; what Kafka has lost since is a gap, as ever.

        Raises: InvalidFieldError when it is not retired, or its raw log is gone.
        """
        head = self.store.progress(table).head_seq
        if head and self.store.get(table).status is Status.RETIRED and not self.has_raw_log(table):
            raise InvalidFieldError(
                "table",
                table,
                f"its raw log of {head} commits is gone from the storage",
                "check LAKE_STORAGE_URL, or register a new table on the same topic",
            )
        return self._notified(self.store.unretire(table, actor))

    def add_column(self, table: str, name: str, kind: str, actor: str) -> SchemaVersion:
        """ADD COLUMN: a new nullable root column; the next batch is loaded with it."""
        record, active = changeable(self.store, table)
        column = new_column(name, kind, active)
        columns, own = active.columns, not record.dataset.transformed
        folded = name.casefold()
        dropped = next((f for f in columns.fields if f.name.casefold() == folded), None)
        if dropped is not None and (dropped.name, dropped.type) == (name, column.type):
            column = dropped  # with the keys that it had
        if own and dropped is not None and dropped != column:
            raise InvalidFieldError(
                "type" if dropped.name == name else "name", str(column.type),
                f"the table has a column {dropped.name} {dropped.type} of before it was dropped, "
                f"and its values stay", f"add it as {dropped.name} {dropped.type}, or choose "
                f"another name",
            )  # fmt: skip
        source = Struct((*active.source.fields, column))
        widened = columns if dropped else Struct((*columns.fields, column))
        derived = widened if own else active.table
        change = f"ADD COLUMN {column.name} {column.type}"
        new = SchemaVersion(active.version + 1, source, derived, changes=(change,))
        return self._changed(table, new, with_column(record.dataset.columns, column), actor)

    def drop_column(self, table: str, name: str, actor: str) -> SchemaVersion:
        """DROP COLUMN: no longer loaded; what records have for it is passed over, and counted.

        Raises: InvalidFieldError.
        """
        record, active = changeable(self.store, table)
        return self._changed(table, *without_column(record.dataset, active, name), actor)

    def resolve_incident(self, incident: int, asked: Asked, actor: str) -> Incident:
        """Says what becomes of each change of an incident; once nothing else stops the table, the
        next load applies the raw commits that were held. Given again in the same words it changes
        nothing.

        Raises:
            IncidentNotFoundError.
            InvalidFieldError: what fits no change or leaves one open, or the incident was resolved
                in another way.
            ConflictError: the schema changed meanwhile; try again.
        """
        found = self.store.incident(incident)
        outcome = resolving.outcome(self.store, found, asked)
        closed = self.store.settle(incident, outcome, actor)
        self.notify(found.table)
        return closed

    def rebuilding(self, incident: int, asked: Asked) -> Rebuilding | None:
        """What a rebuild is to do, where a resolution needs one. Raises: as `resolve_incident`."""
        return resolving.rebuilding(self.store, self.store.incident(incident), asked)

    def tried(
        self, incident: int, asked: Asked
    ) -> tuple[Dataset, SchemaVersion, Sequence[Decision]]:
        """Definition, schema and further decisions as they were after `resolve_incident`.

        Raises: as that.
        """
        return resolving.tried(self.store, self.store.incident(incident), asked)

    def end_decision(self, table: str, decision: int, actor: str) -> Decision:
        """A decision that was for `always` holds for what raw has now, and no more.

        Raises: DatasetNotFoundError, InvalidFieldError.
        """
        return self.store.end_decision(table, decision, self.store.progress(table).head_seq, actor)

    def accept_gap(self, table: str, missing: MissingRanges, actor: str) -> Sequence[Gap]:
        """Puts on record that the offsets Kafka no longer has are given up; the next dump goes on
        behind them. Returns what was accepted now; empty when nothing is missing."""
        self.store.get(table)
        gaps = [
            Gap(partition, gone.start, gone.end, actor)
            for partition, gone in sorted(missing(table).items())
        ]
        self.store.accept_gaps(table, gaps)
        return gaps

    def check(self, dataset: Dataset) -> None:
        """What can be said of a definition before it is applied; of SQL that changes, on the schema
        the table has.

        Raises: InvalidFieldError.
        """
        before = None
        with suppress(DatasetNotFoundError):
            before = self.store.get(dataset.table).dataset
        self._check_form(dataset, before)
        if before is not None:
            self._check_rows(before, dataset)

    def check_on(self, dataset: Dataset, source: Struct | None) -> Sequence[str]:
        """What a registration would refuse of `dataset`, where its records have the columns
        `source`; None where these are not known yet. Returns warnings.

        Raises: InvalidFieldError.
        """
        self._check_form(dataset, None)
        if source is None:
            return self.advise(dataset, None)
        check_against_schema(dataset, source)
        return [*self.check_source(dataset, source), *self.advise(dataset, source)]

    def _check_form(self, dataset: Dataset, before: Dataset | None) -> None:
        """Rules of an older release may be what no new one can be."""
        check_schedule(dataset)
        self.check_steps(dataset)
        if before is None or not dataset.holds_rules_as(before):
            self.check_rules(dataset)

    def _check_rows(self, before: Dataset, after: Dataset) -> None:
        schema = self.store.active_schema(after.table)
        if schema is not None:
            check_hints(before, after, schema.source)
            check_against_schema(after, schema.source)
            if _rows_change(before, after):
                self.check_source(after, schema.source)

    def _beginning_gone(self, dataset: Dataset) -> list[str]:
        others = self.store.list_all(include_retired=True, on_broken=lambda _table, _error: None)
        same = [r.dataset.table for r in others if r.dataset.topic == dataset.topic]
        return beginning_gone(dataset, self.kafka.describe(dataset.topic), same, self.raw_of)

    def _notified(self, record: DatasetRecord) -> DatasetRecord:
        self.notify(record.dataset.table)
        return record

    def _changed(self, table: str, new: SchemaVersion, columns: Hints, actor: str) -> SchemaVersion:
        version = self.store.change_columns(table, new, columns, actor)
        self.notify(table)
        return version


def _rows_change(before: Dataset, after: Dataset) -> bool:
    """Whether what is made of the records, or asked of the rows, is something else."""
    names = ("transforms", "delete_when", "explode", "filtered", "rules", "ordering_field")
    return any(getattr(before, n) != getattr(after, n) for n in names)
