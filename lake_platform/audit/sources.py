"""What an audit reads, each behind a small Protocol: the topic, the table, the files of the storage
(raw, quarantine, logs), and by the domain's own port the metastore (definition, gaps)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lake_platform.domain.dataset import Dataset, Format
from lake_platform.domain.offsets import OffsetRange
from lake_platform.domain.ports import KafkaMessage, Metastore

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class TopicLook:
    """A topic as it is now. `topic_id` is empty when there is no such topic; `compacted` ones may
    have lost any record that was superseded."""

    topic_id: str
    ranges: Mapping[int, OffsetRange]
    compacted: bool = False


class TopicReader(Protocol):
    def look(self, topic: str) -> TopicLook:
        """Raises: KafkaUnavailableError."""
        ...

    def read(
        self, topic: str, ranges: Mapping[int, OffsetRange]
    ) -> Iterator[Sequence[KafkaMessage]]:
        """Committed records of `ranges`, each partition in offset order, each record once.

        Raises: KafkaUnavailableError.
        """
        ...


@dataclass(frozen=True, slots=True)
class File:
    """`key` is relative to the storage root."""

    key: str
    size: int


class Files(Protocol):
    """The storage, read only. Every method raises StorageUnavailableError when it does not answer,
    SetupError when it refuses."""

    root: str
    """Its URL, for messages."""

    def list(self, prefix: str) -> Iterator[File]:
        """All files under `prefix`, which ends with a slash, in key order."""
        ...

    def size(self, key: str) -> int | None:
        """None when it is not there."""
        ...

    def read(self, key: str) -> bytes:
        """Raises: KeyError when it is not there."""
        ...


@dataclass(frozen=True, slots=True)
class TableLook:
    """What a table's own log says. `applied`: the newest raw commit it holds completely; `version`
    changes with every commit; `unsettled` says why it cannot be counted now."""

    applied: int
    version: str
    unsettled: str = ""


class TableReader(Protocol):
    """An engine other than the writer's."""

    def look(self, dataset: Dataset) -> TableLook: ...

    def schema(self, dataset: Dataset) -> pa.Schema: ...

    def batches(self, dataset: Dataset, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """All live rows, `columns` of them; a table nobody wrote yet is empty.

        Raises: TableUnreadableError.
        """
        ...


@dataclass(frozen=True, slots=True)
class Sources:
    metastore: Metastore
    files: Files
    topic: TopicReader
    table: Callable[[Format], TableReader]
