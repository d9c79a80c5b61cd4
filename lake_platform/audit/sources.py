"""What an audit reads, each behind a small Protocol: the topic, the table, and by the domain's own
ports the object store (raw, quarantine, logs) and the metastore (definition, gaps)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lake_platform.domain.dataset import Dataset, Format
from lake_platform.domain.offsets import OffsetRange
from lake_platform.domain.ports import KafkaMessage, Metastore, ObjectStore

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
    store: ObjectStore
    topic: TopicReader
    table: Callable[[Format], TableReader]
