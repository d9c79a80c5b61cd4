"""The outside systems, as small Protocols. Adapters implement them; memory versions ship too."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from lake_platform.domain.batches import (
    BatchJob,
    BatchRange,
    Claim,
    CountedBatch,
    Judgement,
    Layout,
    TableProfile,
    TableState,
    Worker,
    WriteResult,
)
from lake_platform.domain.casts import Lost
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.decisions import Decision, Names
from lake_platform.domain.diff import Change
from lake_platform.domain.mapping import Mapped
from lake_platform.domain.offsets import Gap, OffsetRange, TopicInfo
from lake_platform.domain.progress import DatasetRecord, Progress, SchemaVersion
from lake_platform.domain.rebuild import Rebuild
from lake_platform.domain.registry import Registry
from lake_platform.domain.schema import Struct

Clock = Callable[[], int]
"""Milliseconds since 1970 UTC."""


Still = Callable[[], None]
"""Asked now and then in long work on a table. Raises CommitRaceError when somebody else took over.
"""


class KafkaMessage(Protocol):
    """The part of `confluent_kafka.Message` that phase 1 reads; methods, to pass it on uncopied."""

    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def timestamp(self) -> tuple[int, int]: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> Sequence[tuple[str, bytes | None]] | None: ...


class KafkaReader(Protocol):
    """Reads fixed offset ranges of one topic, each partition in offset order."""

    def poll(self) -> Sequence[KafkaMessage]:
        """The next messages, empty when none came in the poll time.

        Raises: KafkaUnavailableError, OffsetsMissingError.
        """
        ...

    def positions(self) -> Mapping[int, int]:
        """Next offset per partition, past holes (compaction, transaction markers)."""
        ...

    def finished(self) -> bool:
        """Whether every range was read to its end."""
        ...


class Kafka(Protocol):
    @property
    def registry(self) -> Registry:
        """Of the schemas that messages are written by."""
        ...

    def describe(self, topic: str) -> TopicInfo:
        """Raises: KafkaUnavailableError; InvalidFieldError when the topic does not exist."""
        ...

    def topic_id(self, topic: str) -> str:
        """As `describe` has it, in one request. Raises: as `describe`."""
        ...

    def open(
        self, topic: str, ranges: Mapping[int, OffsetRange]
    ) -> AbstractContextManager[KafkaReader]: ...

    def report_offsets(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Commits group offsets for display in Kafka tools only. Never read back."""
        ...


class Workers(Protocol):
    """Who we are, and whether another writer still lives."""

    def me(self) -> Worker: ...

    def alive(self, worker: Worker) -> bool | None:
        """None when it cannot be told from here (another host)."""
        ...


class TableEngine(Protocol):
    """Applies batches to tables of one format. Data and checkpoint are one atomic act."""

    def heavy(self, dataset: Dataset) -> bool:
        """Whether a batch costs seconds whatever is in it: then a few large ones are better."""
        ...

    def warm(self, dataset: Dataset) -> None:
        """Starts what a first batch would wait for. Raises: EngineError."""
        ...

    def layout(self, dataset: Dataset) -> Layout | None:
        """How staged files must look to become the table's own; None when this engine writes files
        of its own."""
        ...

    def state(self, dataset: Dataset) -> TableState:
        """Raises: StorageUnavailableError; never says "absent" when it could not look."""
        ...

    def derive(self, dataset: Dataset, source: Struct, seen: Struct | None = None) -> Struct:
        """The table schema the transforms make of `source`. A column that SQL names and no record
        had is NULL; with `seen`, which has also what was only null, one that is not there is an
        error. Raises: TransformError."""
        ...

    def unused(self, dataset: Dataset, source: Struct) -> frozenset[Names]:
        """Columns of the records, and fields in them, that the steps never look at: paths of
        names, with all that is below. Empty without steps. No Spark."""

    def exact_as_double(self, dataset: Dataset, paths: Collection[str]) -> bool:
        """Whether doubles hold all integers that the table has at these paths (as `domain.diff`
        writes them) exactly, and a write makes them doubles for every reader. Raises:
        StorageUnavailableError."""

    def check_steps(self, dataset: Dataset) -> None:
        """Raises: StepCodeError where code of a step is not what is on record. No Spark."""

    def judge(self, job: BatchJob) -> Judgement:
        """What the steps make of the batch; nothing is written. Empty without steps. Raises:
        TransformError, EngineError."""

    def write(self, job: BatchJob) -> WriteResult:
        """Applies `job`. Raises: CommitRaceError when a later claim fenced this one out,
        TransformError, EngineError."""
        ...

    def fence(self, dataset: Dataset, epoch: int) -> None:
        """Makes sure a writer whose claim has `epoch` can no longer commit."""
        ...

    def align(self, dataset: Dataset, batch: BatchRange) -> BatchRange:
        """The smallest range around `batch` that this format can replace as a whole."""
        ...

    def profile(self, dataset: Dataset) -> TableProfile:
        """Counts over the whole table; reads only the key columns."""
        ...

    def newest_rows(
        self, dataset: Dataset, columns: Sequence[str], limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """Up to `limit` rows of the newest batch, with those of `columns` the table has.

        Values are numbers, booleans or text: dates and timestamps are text (in UTC, of any year),
        binary is base64, nested values are JSON, and long text may be cut.
        """
        ...

    def uncompacted(self, dataset: Dataset) -> int:
        """Commits whose rows wait for compaction; 0 where a format has none. No Spark."""
        ...

    def compact(self, dataset: Dataset, claim: Claim) -> bool:
        """Makes one file of each and its later changes; rows stay as they are. False when it has to
        wait for who died in an earlier one. Raises: EngineError."""
        ...

    def undo(self, dataset: Dataset, state: TableState, claim: Claim) -> None:
        """Removes what a zombie committed twice (`state.doubled`)."""
        ...

    def clear(self, dataset: Dataset, still: Still) -> None:
        """Removes the table whole, first of all what readers enter it by."""
        ...

    def move_in(self, shadow: Dataset, dataset: Dataset, still: Still) -> None:
        """Makes the files of table `shadow` those of `dataset`, whose own were cleared; what
        readers enter it by comes last. Goes on where an earlier try ended. The batch log of
        `shadow`, where there is one, stays."""
        ...


class Metastore(Protocol):
    """What `ingest` needs of the metastore (implemented by metastore.repository)."""

    def get(self, table: str) -> DatasetRecord:
        """Raises: DatasetNotFoundError."""
        ...

    def active_schema(self, table: str) -> SchemaVersion | None: ...

    def schema_versions(self, table: str) -> Sequence[SchemaVersion]: ...

    def add_schema_version(
        self,
        table: str,
        after: int,
        source: Struct,
        derived: Struct | None,
        changes: Sequence[str],
        *,
        mapped: Iterable[Mapped] = (),
    ) -> SchemaVersion:
        """Makes version `after + 1` the active one; `mapped` are the paths that are new in it.

        Raises: ConflictError when `after` is not the active one."""
        ...

    def profile(self, table: str) -> Mapping[str, Any] | None:
        """What the registration counted of the topic's records (sight/profile)."""
        ...

    def block(
        self,
        table: str,
        changes: Sequence[Change],
        batch: str,
        samples: Sequence[Mapping[str, object]],
        kind: str = "schema",
        reason: str = "",
        *,
        details: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> int:
        """Sets BLOCKED and opens an incident (or finds the open one of the same batch); gives its
        number. `details` of changes, by path, are kept with them. When an operator has decided of
        all these changes meanwhile, nothing is opened, and it is that incident's number.

        `kind` is `schema` for a breaking change, `engine` for loads that fail in the same way
        again and again, `rule` for rows that break one; `reason` is what those say.
        """
        ...

    def decisions(self, table: str) -> Sequence[Decision]:
        """What operators decided of values that broke the table, oldest first."""
        ...

    def set_status(self, table: str, status: Status) -> None: ...

    def progress(self, table: str) -> Progress: ...

    def update_progress(self, table: str, **values: int | str) -> None:
        """Sets the named fields of Progress; never moves a seq backwards."""
        ...

    def record_batch(
        self,
        table: str,
        result: WriteResult,
        windows: Mapping[str, int],
        rescued: Mapping[str, int] | None = None,
        lost: Mapping[str, Lost] | None = None,
        absent: Collection[str] | None = None,
        *,
        seconds: Mapping[str, float] | None = None,
    ) -> None:
        """Keeps statistics of an applied batch, once per batch id; `windows`: records of each,
        `rescued`: values by path, `lost`: rows that casts made NULL of, by column, `absent`:
        columns without a value, `seconds` by what they went to; None where nobody knows."""
        ...

    def drop_absent(self, table: str) -> Sequence[str]:
        """Makes the schema version without the columns that records have not had for as long as
        the definition's `absent_for` says; names them."""
        ...

    def counted_batches(self, table: str, first_seq: int, last_seq: int) -> Sequence[CountedBatch]:
        """Those with a raw commit of `[first_seq, last_seq]`, in order; no two share a commit."""
        ...

    def accepted_gaps(self, table: str) -> Sequence[Gap]: ...

    def readers(self, table: str) -> Sequence[DatasetRecord]:
        """Datasets that read the raw of this one and are not retired, by name."""
        ...

    def rebuild(self, table: str) -> Rebuild | None:
        """The rebuild of this table that is under way."""
        ...

    def swap_in(self, table: str, name: str) -> bool:
        """Once the files are swapped: what is on record of the rebuilt table becomes the live
        table's, all or nothing. Definition, numbers and schema versions, which follow those there
        are; open incidents are over. False when no rebuild of that `name` is under way, so it was
        done before."""
        ...
