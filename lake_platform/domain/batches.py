"""Batches of phase 2: a run of raw commits that is applied to a table at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lake_platform.domain.casts import Lost
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.offsets import RawCommit, RawObject
from lake_platform.domain.quality import Balance
from lake_platform.domain.rules import Broken
from lake_platform.domain.schema import Struct
from lake_platform.errors import CommitRaceError


@dataclass(frozen=True, slots=True)
class BatchRange:
    """Raw commits `[first_seq, last_seq]`, both included."""

    first_seq: int
    last_seq: int

    @property
    def id(self) -> str:
        return f"{self.first_seq:012d}-{self.last_seq:012d}"

    @property
    def seqs(self) -> range:
        return range(self.first_seq, self.last_seq + 1)

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that writes tables; `started` (seconds) tells a reused pid apart."""

    host: str
    pid: int
    started: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True, slots=True)
class Claim:
    """Who may write the next batch. A claim with a higher epoch fences all lower ones.
    `shadow`: the rebuilt table that its holder swaps in, instead of writing a batch."""

    epoch: int
    nonce: str
    batch: BatchRange
    worker: Worker
    claimed_at: int
    replay: bool = False
    shadow: str = ""

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Claim:
        plain = json.loads(data)
        plain["batch"] = BatchRange(**plain["batch"])
        plain["worker"] = Worker(**plain["worker"])
        return cls(**plain)


@dataclass(frozen=True, slots=True)
class AppliedBatch:
    """One committed batch as the table's own log tells it; `instant` is its commit there.

    `applied` is the highest raw seq the table holds completely after this commit. `reapply`: the
    batch brought new columns and was written without them, it is applied once more.
    """

    batch: BatchRange
    applied: int
    epoch: int
    instant: str
    schema_version: int
    replay: bool = False
    reapply: bool = False
    balance: Balance = field(default_factory=Balance)
    quarantine_keys: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AppliedBatch:
        plain = dict(data)
        plain["batch"] = BatchRange(**plain["batch"])
        plain["balance"] = Balance(**plain["balance"])
        plain["quarantine_keys"] = tuple(plain["quarantine_keys"])
        return cls(**plain)


@dataclass(frozen=True, slots=True)
class CountedBatch:
    """A batch that is part of the totals. `rescued`: values in `_rescued` by their path; None where
    that was not counted. `schema_version`: that its rows were written with."""

    batch: BatchRange
    rescued: Mapping[str, int] | None
    schema_version: int = 0


@dataclass(frozen=True, slots=True)
class TableState:
    """What a table says about itself. `applied` is 0 while nothing was ever applied.

    `doubled` lists batches found committed twice (a zombie's late commit).
    """

    exists: bool
    applied: int
    last: AppliedBatch | None = None
    doubled: tuple[AppliedBatch, ...] = ()


@dataclass(frozen=True, slots=True)
class StagedFile:
    """Parquet with rows of a batch, under the claim's own staging prefix."""

    key: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Layout:
    """How the staged files of a batch must look to become files of the table.

    With `columns_in_files` a partition column stays in the file, and the folder has a name of its
    own: readers guess the type of what is only in a path, and `007` would be a number to some.
    Tables that were begun without it go on without it.
    """

    columns_in_files: bool = True

    def folder(self, column: str) -> str:
        return f"lake_part_{column}" if self.columns_in_files else column


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A record that must not reach the table, by its Kafka coordinates."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Delete:
    """A tombstone in an upsert table: removes the row of `key` (primary key column -> value).

    `order` is the record's place in Kafka order (ms, see records/envelope). `beside`: the record
    gave a row as well, under another key.
    """

    partition: int
    offset: int
    order: int
    key: Mapping[str, Any]
    beside: bool = False


@dataclass(frozen=True, slots=True)
class BatchJob:
    """All an engine needs to apply one batch; the same job twice leaves the same table.

    `staged` holds the records that are fit to be rows, decoded, with the columns of `source` and
    the technical ones; `table_schema` is what the table has after this batch, without technical
    columns; `deletes` are the batch's tombstones; `unique` says that no key is in both together
    more than once. `applied` is what the table's checkpoint says after this commit. `refused` are
    records whose rows the engine's `judge` found unfit, `exploded` the rows beyond one a
    record, and the deletes beside one.
    `replay` replaces rows of the same Kafka coordinates instead of adding; it takes out rows of
    `removed` records, which are in quarantine now (append). `only_aside`: with it a rule may put no
    other records aside. `undone` are instants of late commits that this batch makes good.
    """

    dataset: Dataset
    claim: Claim
    commits: tuple[RawCommit, ...]
    source: Struct
    table_schema: Struct
    schema_version: int
    applied: int
    staged: tuple[StagedFile, ...] = ()
    unique: bool = False
    deletes: tuple[Delete, ...] = ()
    quarantine_keys: tuple[str, ...] = ()
    quarantined: int = 0
    quarantined_deletes: int = 0
    dropped: int = 0
    exploded: int = 0
    refused: tuple[Exclusion, ...] = ()
    replay: bool = False
    reapply: bool = False
    undone: tuple[str, ...] = ()
    removed: tuple[Exclusion, ...] = ()
    only_aside: frozenset[tuple[int, int]] | None = None

    @property
    def batch(self) -> BatchRange:
        return self.claim.batch

    @property
    def objects(self) -> tuple[RawObject, ...]:
        return tuple(o for c in self.commits for o in c.objects)

    @property
    def records(self) -> int:
        return sum(c.records for c in self.commits)

    @property
    def deleting(self) -> int:
        """Records that give no row, but delete one."""
        return sum(not d.beside for d in self.deletes)


@dataclass(frozen=True, slots=True)
class UnfitRow:
    """A record of which a step made a row that the table must not have."""

    partition: int
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the steps make of a batch, before anything is written. `unfit` names each record once;
    `dropped` gave no row, `exploded` are the rows beyond one a record; `broken` rules by name;
    `lost` what casts turned into NULL, by column. A column that has casts and is not in it was not
    counted."""

    unfit: tuple[UnfitRow, ...] = ()
    dropped: int = 0
    exploded: int = 0
    broken: Mapping[str, Broken] = field(default_factory=dict)
    lost: Mapping[str, Lost] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What an engine did. `table_schema` is the table's schema after the write, without the
    technical columns (`_kafka_*`, `_hoodie_*`)."""

    applied: AppliedBatch
    table_schema: Struct
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TableProfile:
    """Counts over a table: `keys` distinct ones of the primary key, in append of the Kafka
    coordinates; `null_keys` rows in which a part of the key is null."""

    rows: int
    keys: int
    null_keys: int


def overtaken(job: BatchJob) -> CommitRaceError:
    return CommitRaceError(
        f"table {job.dataset.table!r}: another writer took over batch {job.batch}; nothing of "
        f"this attempt is in the table, load again"
    )
