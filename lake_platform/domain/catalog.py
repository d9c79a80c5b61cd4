"""What a metastore of other engines (AWS Glue) holds of a table, and the port to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.schema import Struct

OWNER = "lake.owner"
"""Parameter of every entry of ours: which dataset of which storage root it is of."""
CatalogKind = Literal["glue", "none"]


@dataclass(frozen=True, slots=True)
class Column:
    """`type` as Hive writes types."""

    name: str
    type: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A table as the catalog has it. `keys` are the partition columns, `parameters` of the table,
    `serde_parameters` of how its files are read. Comments and description are for people."""

    name: str
    location: str
    columns: tuple[Column, ...]
    keys: tuple[Column, ...] = ()
    input_format: str = ""
    output_format: str = ""
    serde: str = ""
    serde_parameters: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    description: str = ""

    @property
    def owner(self) -> str:
        """Empty for one that is not ours."""
        return self.parameters.get(OWNER, "")


@dataclass(frozen=True, slots=True)
class Partition:
    """One value a key of the entry; where its files are, and the columns they are read with."""

    values: tuple[str, ...]
    location: str
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """A table as its own files have it. `columns` are all that are in them, the platform's too.
    `keys` are the partition columns as its folders name them, with `in_files` also in `columns` or
    told apart by name. `folders`: values of the keys and path below the table, of each partition.
    `schema_version`: what its newest batch was written with."""

    columns: Struct
    schema_version: int
    hudi_type: Literal["", "cow", "mor"] = ""
    keys: tuple[str, ...] = ()
    folders: tuple[tuple[tuple[str, ...], str], ...] = ()


class Catalog(Protocol):
    """One database of a catalog.

    All raise CatalogUnavailableError (throttled, or no answer, after tries), CatalogRefusedError
    (what was asked for is not taken) and SetupError (credentials, region, rights).
    """

    @property
    def address(self) -> str:
        """For messages: what it is and which database."""
        ...

    def ensure(self) -> bool:
        """Makes the database unless it is there. True when it was made."""
        ...

    def entry(self, name: str) -> Entry | None: ...

    def create(self, entry: Entry) -> None:
        """Raises: CatalogUnavailableError also when there is one by now."""
        ...

    def update(self, entry: Entry) -> None:
        """Replaces all of it but the keys, which are what they were."""
        ...

    def drop(self, name: str) -> None:
        """With its partitions. Nothing happens when it is not there."""
        ...

    def partitions(self, name: str) -> Mapping[tuple[str, ...], Partition]: ...

    def put_partitions(
        self, entry: Entry, new: Sequence[Partition], changed: Sequence[Partition]
    ) -> None: ...

    def drop_partitions(self, name: str, values: Collection[tuple[str, ...]]) -> None: ...


def catalogued(dataset: Dataset, platform: CatalogKind) -> bool:
    """Whether the table is to be in Glue; `platform` is for datasets that do not say."""
    return (dataset.catalog or platform) == "glue"
