"""Use cases on definitions: what API, CLI and datasets as code do, each one or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from lake_platform.code.pins import NO_CODE, CodeBase, check_pinned, pinned
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.decisions import Decision
from lake_platform.domain.fitness import check_against_schema
from lake_platform.domain.mapping import Look
from lake_platform.domain.offsets import Gap
from lake_platform.domain.part import part_of
from lake_platform.domain.ports import Kafka
from lake_platform.domain.progress import DatasetRecord, SchemaVersion
from lake_platform.domain.raw_span import RawSpan
from lake_platform.domain.resolutions import Asked
from lake_platform.domain.schema import Struct
from lake_platform.errors import DatasetNotFoundError, InvalidFieldError, NameTakenError
from lake_platform.metastore import resolving
from lake_platform.metastore.altering import Altering, aliased, renamed, widened
from lake_platform.metastore.beginning import RawOf, start_of, unread
from lake_platform.metastore.ddl import Hints, with_added, without_column
from lake_platform.metastore.incident import Incident
from lake_platform.metastore.keyed import as_stored, keyed
from lake_platform.metastore.model import changed
from lake_platform.metastore.outside import (
    Advise,
    CheckSteps,
    ExpiredSeq,
    HasRawLog,
    Infer,
    MissingRanges,
    Notify,
)
from lake_platform.metastore.registration import Registration
from lake_platform.metastore.repository import Repository
from lake_platform.metastore.resolving import Rebuilding, changeable
from lake_platform.metastore.rows_change import CheckSource, check_rows, rows_change
from lake_platform.metastore.schedules import check_times


@dataclass(frozen=True, slots=True)
class UseCases:
    """The use cases, over the metastore and what they ask outside of it."""

    store: Repository
    kafka: Kafka
    infer: Infer
    check_steps: CheckSteps = lambda _: None
    advise: Advise = lambda *_: ()
    notify: Notify = lambda _: None
    check_source: CheckSource = lambda *_: ()
    raw_of: RawOf = lambda _table, _topic_id: {}
    has_raw_log: HasRawLog = lambda _: True
    check_rules: CheckSteps = lambda _: None
    expired_seq: ExpiredSeq = lambda _: 0
    code: CodeBase = NO_CODE

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
        dataset = self.pinned(dataset)
        found = self.look(dataset)
        dataset, sight = keyed(dataset, found), found.sight
        part = part_of(dataset, RawSpan(self._first_kept(dataset)))
        left = unread(dataset, self.kafka)
        record = self.store.register(part, sight.source if sight else None, actor, sight)
        self.store.update_progress(dataset.table, backlog=left)  # before the first dump counts it
        self.notify(dataset.table)
        active = self.store.active_schema(dataset.table)
        return Registration(record, active, sight.mapped if sight else (), found.warnings)

    def look(self, dataset: Dataset) -> Look:
        """What a registration finds in the topic: the schema, and what to warn of.

        Raises: as `register_dataset`; nothing is kept.
        """
        self.store.check_raw_from(dataset)
        found = self.infer(self.kafka, dataset)
        dataset = keyed(dataset, found)
        source = found.sight.source if found.sight else None
        warnings = list(found.warnings)
        if source is not None:
            check_against_schema(dataset, source)
            warnings += self.check_source(dataset, source, None)
        elif not warnings:
            warnings = [
                f"topic {dataset.topic} holds no record yet: schema version 1 comes with the first"
            ]
        warnings += [*self.advise(dataset, source), *self._start(dataset)]
        return replace(found, warnings=warnings)

    def change_dataset(
        self,
        table: str,
        changes: Mapping[str, Any],
        expected_version: int,
        actor: str,
        tell: Callable[[str], None] = lambda _: None,
    ) -> DatasetRecord:
        """Replaces fields by JSON values; `tell` hears how other steps change the columns.

        Raises: ConflictError, InvalidFieldError.
        """
        before = self.store.get(table)
        after = changed(before.dataset, changes)
        self._check_form(after, before.dataset)
        if after.transforms != before.dataset.transforms:
            after = self.pinned(after)
            changes = {**changes, "transforms": [step.plain() for step in after.transforms]}
        told = check_rows(self.store, self.check_source, before.dataset, after)
        record = self.store.update(table, changes, expected_version, actor)
        for text in told:
            tell(text)
        if record.version != before.version:
            if rows_change(before.dataset, after):
                resolving.settle_steps(self.store, table, actor)
            self.notify(table)
        return record

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
        head, record = self.store.progress(table).head_seq, self.store.get(table)
        gone = head and not self.has_raw_log(record.dataset.raw_table)
        if gone and record.status is Status.RETIRED:
            raise InvalidFieldError(
                "table", table, f"its raw log of {head} commits is gone from the storage",
                "check LAKE_STORAGE_URL, or register a new table on the same topic",
            )  # fmt: skip
        return self._notified(self.store.unretire(table, actor))

    def add_column(self, table: str, name: str, kind: str, actor: str) -> SchemaVersion:
        """A new nullable root column; the next batch is loaded with it."""
        record, active = changeable(self.store, table)
        return self._changed(table, *with_added(record.dataset, active, name, kind), actor)

    def drop_column(self, table: str, name: str, actor: str) -> SchemaVersion:
        """No longer loaded; what records have for it is passed over, and counted."""
        record, active = changeable(self.store, table)
        return self._changed(table, *without_column(record.dataset, active, name), actor)

    def widen_column(self, table: str, column: str, kind: str, actor: str) -> SchemaVersion:
        """The next batch is loaded with it. Raises: InvalidFieldError, which names the rebuild
        where files that are there do not do."""
        record, active = changeable(self.store, table)
        new, hints = widened(record.dataset, active, column, kind)
        self.check_source(record.dataset, new.source, None)
        return self._changed(table, new, hints, actor)

    def renaming(self, table: str, column: str, name: str) -> Altering:
        """What a rebuild is to do. Raises: InvalidFieldError."""
        record, active = changeable(self.store, table)
        return renamed(record.dataset, active, column, name)

    def aliasing(self, table: str, column: str, key: str) -> Altering:
        """What is to be done so that another key of records means this column.

        Raises: InvalidFieldError.
        """
        record, active = changeable(self.store, table)
        return aliased(record.dataset, active, column, key)

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
        if outcome.continued_in is not None:
            self.notify(outcome.continued_in.table)
        return closed

    def beginning(self, incident: int, asked: Asked) -> str:
        """The table that would begin with what is held; empty where none would. Raises: as
        `resolve_incident`."""
        new = resolving.outcome(self.store, self.store.incident(incident), asked).continued_in
        return new.table if new is not None else ""

    def rebuilding(self, incident: int, asked: Asked) -> Rebuilding | None:
        """What a rebuild is to do, where a resolution needs one. Raises: as `resolve_incident`."""
        return resolving.rebuilding(self.store, self.store.incident(incident), asked)

    def tried(
        self, incident: int, asked: Asked
    ) -> tuple[Dataset, SchemaVersion, Sequence[Decision]]:
        """Definition, schema and further decisions after `resolve_incident`. Raises: as that."""
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

    def check(self, dataset: Dataset) -> Sequence[str]:
        """What can be said of a definition before it is applied; of SQL that changes, on the schema
        the table has. Returns how its columns change.

        Raises: InvalidFieldError.
        """
        before = None
        with suppress(DatasetNotFoundError):
            before = self.store.get(dataset.table).dataset
            dataset = as_stored(dataset, before)
        self._check_form(dataset, before)
        if before is None:
            return ()
        return check_rows(self.store, self.check_source, before, dataset)

    def pinned(self, dataset: Dataset) -> Dataset:
        """With the hash of each function that steps are. Raises: InvalidFieldError."""
        return pinned(dataset, self.code)

    def check_on(self, dataset: Dataset, source: Struct | None) -> Sequence[str]:
        """What a registration would refuse of `dataset`, where its records have the columns
        `source`; None where these are not known yet. Returns warnings.

        Raises: InvalidFieldError.
        """
        self._check_form(dataset, None)
        check_pinned(dataset, self.code)
        if source is None:
            return self.advise(dataset, None)
        check_against_schema(dataset, source)
        return [*self.check_source(dataset, source, None), *self.advise(dataset, source)]

    def _check_form(self, dataset: Dataset, before: Dataset | None) -> None:
        """Rules and promises of an older release may be what no new one can be."""
        check_times(dataset, before)
        self.check_steps(dataset)
        if before is None or not dataset.holds_rules_as(before):
            self.check_rules(dataset)

    def _start(self, dataset: Dataset) -> list[str]:
        return start_of(dataset, self._first_kept(dataset), self.store, self.kafka, self.raw_of)

    def _first_kept(self, dataset: Dataset) -> int:
        return self.expired_seq(dataset.raw_from) if dataset.raw_from else 0

    def _notified(self, record: DatasetRecord) -> DatasetRecord:
        self.notify(record.dataset.table)
        return record

    def _changed(self, table: str, new: SchemaVersion, columns: Hints, actor: str) -> SchemaVersion:
        version = self.store.change_columns(table, new, columns, actor)
        self.notify(table)
        return version
