"""Datasets: registered, changed by compare-and-set, paused, retired and taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.fitness import check_change
from lake_platform.domain.mapping import FirstSight, mapped_to_json
from lake_platform.domain.progress import DatasetRecord
from lake_platform.domain.schema import (
    Struct,
)
from lake_platform.domain.schema_json import to_json
from lake_platform.errors import ConflictError, InvalidFieldError, LakeError, NameTakenError
from lake_platform.metastore.model import changed, dataset_to_dict, parse_dataset
from lake_platform.metastore.sharing import check_owner, living_readers
from lake_platform.metastore.statuses import Statuses, record_of
from lake_platform.metastore.tables import DatasetRow, ProgressRow, SchemaVersionRow

OnBroken = Callable[[str, LakeError], None]


class Definitions(Statuses):
    def get(self, table: str) -> DatasetRecord:
        with self._read() as session:
            return record_of(self._row(session, table))

    def list_all(
        self, *, include_retired: bool = False, on_broken: OnBroken | None = None
    ) -> list[DatasetRecord]:
        """All datasets by name. A stored definition this release cannot read goes to `on_broken`
        and is left out; without `on_broken` it raises."""
        query = (
            select(DatasetRow)
            .where(DatasetRow.rebuild_of.is_(None))
            .order_by(DatasetRow.table_name)
        )
        if not include_retired:
            query = query.where(DatasetRow.status != Status.RETIRED)
        records = []
        with self._read() as session:
            rows = list(session.scalars(query))
        for row in rows:
            try:
                records.append(record_of(row))
            except LakeError as error:
                if on_broken is None:
                    raise
                on_broken(row.table_name, error)
        return records

    def name_taken(self, table: str) -> bool:
        """Also when only the case differs: catalogs fold it. Retired tables keep their name."""
        query = select(DatasetRow.table_name).where(_same_name(table))
        with self._read() as session:
            return session.scalar(query) is not None

    def register(
        self, dataset: Dataset, source: Struct | None, actor: str, sight: FirstSight | None = None
    ) -> DatasetRecord:
        """Keeps the dataset and, when `source` is known, schema version 1, with what `sight` says
        of it: all or nothing. Its table begins behind `dataset.raw_span.after`.

        Raises:
            NameTakenError: the table name is in use.
            InvalidFieldError: the raw of `raw_from` cannot be read.
        """
        try:
            with self._write() as session:
                row = self._add_dataset(session, dataset)
                if source is not None:
                    session.add(self._first_version(dataset, source, sight, actor))
                self._audit(session, "register", dataset.table, None, row.definition, actor)
        except IntegrityError:
            raise NameTakenError(dataset.table) from None
        return record_of(row)

    def _add_dataset(self, session: Session, dataset: Dataset) -> DatasetRow:
        if dataset.raw_from:
            check_owner(session, dataset)
        after = dataset.raw_span.after
        row = DatasetRow(
            table_name=dataset.table,
            table_fold=dataset.table.casefold(),
            definition=dataset_to_dict(dataset),
            version=1,
            # Its raw is dumped already.
            status=Status.BOOTSTRAPPING if dataset.raw_from else Status.REGISTERED,
            registered_at=self._clock(),
            raw_from=dataset.raw_from or None,
            raw_after=after,
            raw_until=0,
        )
        session.add(row)
        session.flush()
        session.add(ProgressRow(table_name=dataset.table, applied_seq=after, reported_seq=after))
        return row

    def check_raw_from(self, dataset: Dataset) -> None:
        """Raises: InvalidFieldError when the raw that it names cannot be read."""
        if dataset.raw_from:
            with self._read() as session:
                check_owner(session, dataset, lock=False)

    def readers(self, table: str) -> list[DatasetRecord]:
        """Datasets that read the raw of this one and are not retired, by name."""
        with self._read() as session:
            return [record_of(self._row(session, t)) for t in living_readers(session, table)]

    def update(
        self, table: str, changes: Mapping[str, Any], expected_version: int, actor: str
    ) -> DatasetRecord:
        """Replaces fields by JSON values; a change that changes nothing keeps the version.

        Raises:
            ConflictError: the dataset is not at `expected_version`.
            InvalidFieldError: a value that cannot be, or a field that is fixed.
        """
        with self._write() as session:
            row = self._row(session, table, lock=True)
            self._check_alive(row)
            if row.version != expected_version:
                raise ConflictError(table, expected_version, row.version)
            self._check_still(session, table)
            before = parse_dataset(row.definition)
            after = changed(before, changes)
            check_change(before, after)
            old, new = dataset_to_dict(before), dataset_to_dict(after)
            differing = [name for name in new if new[name] != old[name]]
            if differing:
                row.definition, row.version = new, row.version + 1
                self._audit(
                    session,
                    "update",
                    table,
                    {n: old[n] for n in differing},
                    {n: new[n] for n in differing},
                    actor,
                )
            return record_of(row)

    def _first_version(
        self, dataset: Dataset, source: Struct, sight: FirstSight | None, actor: str
    ) -> SchemaVersionRow:
        schema = to_json(source)
        return SchemaVersionRow(
            table_name=dataset.table,
            version=1,
            source=schema,
            derived=None if dataset.transformed else schema,
            status="ACTIVE",
            changes=[],
            created_at=self._clock(),
            actor=actor,
            mapped=mapped_to_json(sight.mapped) if sight else None,
            profile=dict(sight.profile) if sight else None,
        )

    @staticmethod
    def _check_still(session: Session, table: str) -> None:
        """What a rebuild began with is what it is made of."""
        query = select(DatasetRow.table_name).where(DatasetRow.rebuild_of == table)
        if session.scalar(query) is not None:
            raise InvalidFieldError(
                "table", table, "is being rebuilt",
                f"end that first, with lake rebuild {table} or lake rebuild {table} --abort",
            )  # fmt: skip


def _same_name(table: str) -> Any:
    return or_(DatasetRow.table_name == table, DatasetRow.table_fold == table.casefold())
