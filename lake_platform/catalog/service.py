"""Sync, check and drop of one table's entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lake_platform.catalog.comments import comments
from lake_platform.catalog.drift import Drift, drift
from lake_platform.catalog.entries import Wanted, entry_names, owner, wanted
from lake_platform.catalog.sync import Synced, sync
from lake_platform.domain.catalog import Catalog, CatalogKind, Stored, catalogued
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.described import Line
from lake_platform.domain.progress import DatasetRecord, SchemaVersion
from lake_platform.errors import ForeignTableError, InvalidFieldError

Look = Callable[[Dataset], Stored | None]


class Known(Protocol):
    """What is asked of the metastore."""

    def get(self, table: str) -> DatasetRecord: ...

    def active_schema(self, table: str) -> SchemaVersion | None: ...

    def mapping(self, table: str) -> Sequence[Line]: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """`entries` is empty while there is no table. `notes`: what Hive's engines will not see."""

    table: str
    address: str
    entries: tuple[Synced, ...]
    notes: tuple[str, ...] = ()
    made_database: bool = False


@dataclass(frozen=True, slots=True)
class CatalogService:
    """`root` is the storage's URL as readers of the catalog have it, `platform` what holds for
    datasets that do not say whether they are in it."""

    metastore: Known
    look: Look
    catalog: Catalog
    root: str
    platform: CatalogKind

    def sync(self, table: str) -> Outcome:
        """Brings the catalog to what the table has now; nothing of the table is written.

        Raises: DatasetNotFoundError, InvalidFieldError: it is to be in no catalog; ForeignTable-
            Error and the rest of Catalog; StorageUnavailableError.
        """
        dataset = self._dataset(table)
        found = self._wanted(dataset)
        if found is None:
            return Outcome(table, self.catalog.address, ())
        made = self.catalog.ensure()
        return Outcome(
            table, self.catalog.address, tuple(sync(found[0], self.catalog)), found[0].notes, made
        )

    def check(self, table: str) -> Drift | None:
        """None while there is no table. Raises: as `sync`; changes nothing."""
        dataset = self._dataset(table)
        found = self._wanted(dataset)
        if found is None:
            return None
        return drift(*found, self.metastore.active_schema(table), self.catalog)

    def drop(self, table: str) -> list[str]:
        """Takes the table's entries out of the catalog; its files stay. Names them.

        Raises: DatasetNotFoundError, ForeignTableError, and the rest of Catalog.
        """
        dataset = self.metastore.get(table).dataset
        held = [e for n in entry_names(dataset, True) if (e := self.catalog.entry(n)) is not None]
        ours = [e for e in held if e.owner == owner(dataset, self.root)]
        named = next((e for e in held if e.name == entry_names(dataset, False)[0]), None)
        if named is not None and named not in ours:
            raise ForeignTableError(self.catalog.address, named.name, named.owner, named.location)
        for entry in ours:
            self.catalog.drop(entry.name)
        return [entry.name for entry in ours]

    def _dataset(self, table: str) -> Dataset:
        dataset = self.metastore.get(table).dataset
        if not catalogued(dataset, self.platform):
            raise InvalidFieldError(
                "catalog", dataset.catalog or self.platform, f"{table} is to be in no catalog",
                f"say so for this dataset: lake datasets set {table} catalog=glue, or for all that "
                f"do not say: LAKE_CATALOG=glue",
            )  # fmt: skip
        return dataset

    def _wanted(self, dataset: Dataset) -> tuple[Wanted, Stored] | None:
        stored = self.look(dataset)
        if stored is None:
            return None
        table = dataset.table
        told = comments(dataset, self.metastore.active_schema(table), self.metastore.mapping(table))
        return wanted(dataset, stored, self.root, told), stored
