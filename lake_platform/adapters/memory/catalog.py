"""A catalog in memory, held to the contract of the real one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from lake_platform.domain.catalog import Catalog, Entry, Partition
from lake_platform.errors import CatalogUnavailableError


class MemoryCatalog(Catalog):
    """`failing`: how many of the next calls find it unavailable; so do those about `broken`."""

    def __init__(self, database: str = "lake") -> None:
        self._database, self._made = database, False
        self.entries: dict[str, Entry] = {}
        self._partitions: dict[str, dict[tuple[str, ...], Partition]] = {}
        self.calls: list[str] = []
        self.failing = 0
        self.broken: set[str] = set()

    @property
    def address(self) -> str:
        return f"memory database {self._database!r}"

    def ensure(self) -> bool:
        self._called("ensure")
        made, self._made = not self._made, True
        return made

    def entry(self, name: str) -> Entry | None:
        self._called("entry", name)
        return self.entries.get(name)

    def create(self, entry: Entry) -> None:
        self._called("create")
        if entry.name in self.entries:
            raise CatalogUnavailableError(
                self.address, f"making table {entry.name}", "it is there by now"
            )
        self.entries[entry.name] = entry
        self._partitions[entry.name] = {}

    def update(self, entry: Entry) -> None:
        self._called("update")
        self.entries[entry.name] = entry

    def drop(self, name: str) -> None:
        self._called("drop")
        self.entries.pop(name, None)
        self._partitions.pop(name, None)

    def partitions(self, name: str) -> Mapping[tuple[str, ...], Partition]:
        self._called("partitions")
        return dict(self._partitions.get(name, {}))

    def put_partitions(
        self, entry: Entry, new: Sequence[Partition], changed: Sequence[Partition]
    ) -> None:
        if new or changed:
            self._called("put_partitions")
        for partition in (*new, *changed):
            self._partitions[entry.name][partition.values] = partition

    def drop_partitions(self, name: str, values: Collection[tuple[str, ...]]) -> None:
        if values:
            self._called("drop_partitions")
        for one in values:
            self._partitions[name].pop(one, None)

    def _called(self, what: str, name: str = "") -> None:
        self.calls.append(what)
        if self.failing or name in self.broken:
            self.failing = max(0, self.failing - 1)
            raise CatalogUnavailableError(self.address, what, "it is made to fail")
