"""AWS Glue's Data Catalog, as the port Catalog."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from lake_platform.adapters.glue.answers import Answers
from lake_platform.adapters.glue.shapes import (
    entry_of,
    partition_input,
    partition_of,
    table_input,
)
from lake_platform.domain.catalog import Catalog, Entry, Partition

# Glue's own limits of one request.
_MOST, _MOST_DROPPED = 100, 25
_MADE_BY = "Tables of the lake platform"


class GlueCatalog(Catalog):
    """`client` is boto3's for Glue, `catalog_id` the account where it is not the caller's own."""

    def __init__(
        self,
        client: Any,
        database: str,
        catalog_id: str = "",
        *,
        create_database: bool = True,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._database, self._create_database = database, create_database
        self._at: dict[str, Any] = {"DatabaseName": database}
        self._account = {"CatalogId": catalog_id} if catalog_id else {}
        self._answers = Answers(client, self.address, sleep)

    @property
    def address(self) -> str:
        return f"Glue database {self._database!r}"

    def ensure(self) -> bool:
        found = self._answers.ask("get_database", "looking for the database", self._db, absent=None)
        if found is not None:
            return False
        if not self._create_database:
            self._answers.refuse(
                "looking for the database",
                "it is not there, and LAKE_GLUE_CREATE_DATABASE is false",
                "make it, or name another one in LAKE_GLUE_DATABASE",
            )  # fmt: skip
        wanted = {"DatabaseInput": {"Name": self._database, "Description": _MADE_BY}}
        made = self._answers.ask(
            "create_database", "making the database", self._account | wanted, taken=None
        )
        return made is not None

    def entry(self, name: str) -> Entry | None:
        asked = self._table("Name", name)
        found = self._answers.ask("get_table", f"reading table {name}", asked, absent=None)
        return entry_of(found["Table"]) if found is not None else None

    def create(self, entry: Entry) -> None:
        asked = {**self._account, **self._at, "TableInput": table_input(entry)}
        self._answers.ask("create_table", f"making table {entry.name}", asked)

    def update(self, entry: Entry) -> None:
        # Glue would keep every version of a table there ever was, up to a limit of the account.
        asked = {"TableInput": table_input(entry), "SkipArchive": True}
        did = f"changing table {entry.name}"
        self._answers.ask("update_table", did, {**self._account, **self._at, **asked})

    def drop(self, name: str) -> None:
        asked = self._table("Name", name)
        self._answers.ask("delete_table", f"dropping table {name}", asked, absent=None)

    def partitions(self, name: str) -> Mapping[tuple[str, ...], Partition]:
        found: dict[tuple[str, ...], Partition] = {}
        for page in self._pages(name):
            found |= {p.values: p for p in map(partition_of, page["Partitions"])}
        return found

    def _pages(self, name: str) -> Iterator[Any]:
        asked = self._table("TableName", name)
        more: dict[str, str] = {}
        while True:
            did = f"reading partitions of table {name}"
            page = self._answers.ask("get_partitions", did, asked | more)
            yield page
            if not page.get("NextToken"):
                return
            more = {"NextToken": page["NextToken"]}

    def put_partitions(
        self, entry: Entry, new: Sequence[Partition], changed: Sequence[Partition]
    ) -> None:
        at, did = self._table("TableName", entry.name), f"keeping partitions of table {entry.name}"
        # What another writer added meanwhile is given its columns and location all the same.
        taken: list[Partition] = []
        for some in _parts(new, _MOST):
            asked = at | {"PartitionInputList": [partition_input(entry, p) for p in some]}
            left = self._answers.each(
                "batch_create_partition", did, asked, "AlreadyExistsException"
            )
            taken += [p for p in some if p.values in left]
        for some in _parts([*changed, *taken], _MOST):
            entries = [
                {"PartitionValueList": list(p.values), "PartitionInput": partition_input(entry, p)}
                for p in some
            ]
            self._answers.each("batch_update_partition", did, at | {"Entries": entries})

    def drop_partitions(self, name: str, values: Collection[tuple[str, ...]]) -> None:
        at, did = self._table("TableName", name), f"dropping partitions of table {name}"
        for some in _parts(list(values), _MOST_DROPPED):
            asked = at | {"PartitionsToDelete": [{"Values": list(v)} for v in some]}
            self._answers.each("batch_delete_partition", did, asked, "EntityNotFoundException")

    @property
    def _db(self) -> dict[str, Any]:
        return {**self._account, "Name": self._database}

    def _table(self, field: str, name: str) -> dict[str, Any]:
        return {**self._account, **self._at, field: name}


def _parts(items: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    return (items[at : at + most] for at in range(0, len(items), most))
