"""Production's parts for a look that must leave nothing behind."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lake_platform.domain.batches import BatchJob, Judgement, Layout, WriteResult
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.decisions import Decision, Names
from lake_platform.domain.diff import Change
from lake_platform.domain.mapping import Mapped
from lake_platform.domain.offsets import Gap, RawObject
from lake_platform.domain.ports import Metastore, TableEngine
from lake_platform.domain.progress import DatasetRecord, Progress, SchemaVersion
from lake_platform.domain.schema import Struct
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import EngineError, SetupError
from lake_platform.load.crew import Decoders
from lake_platform.load.stage import Question, Staged


@dataclass(frozen=True, slots=True)
class Block:
    """What an incident would hold."""

    changes: Sequence[Change]
    samples: Sequence[Mapping[str, object]]
    reason: str


@dataclass
class Unwritten:
    """A metastore that is read, and keeps what is written to it to itself. One dataset, which can
    be loaded whatever its status, and has no raw yet."""

    real: Metastore
    dataset: Dataset
    versions: list[SchemaVersion] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)

    def get(self, table: str) -> DatasetRecord:
        found = self.real.get(table)
        return replace(found, dataset=self.dataset, status=Status.LIVE)

    def readers(self, table: str) -> Sequence[DatasetRecord]:  # noqa: ARG002 - port
        return ()

    def active_schema(self, table: str) -> SchemaVersion | None:
        return self.versions[-1] if self.versions else self.real.active_schema(table)

    def add_schema_version(
        self,
        table: str,  # noqa: ARG002 - port
        after: int,
        source: Struct,
        derived: Struct | None,
        changes: Sequence[str],
        *,
        mapped: Iterable[Mapped] = (),
    ) -> SchemaVersion:
        made = SchemaVersion(
            after + 1, source, derived, changes=tuple(changes), mapped=tuple(mapped)
        )
        self.versions.append(made)
        return made

    def profile(self, table: str) -> Mapping[str, Any] | None:
        return self.real.profile(table)

    def block(
        self,
        table: str,  # noqa: ARG002 - port
        changes: Sequence[Change],
        batch: str,  # noqa: ARG002
        samples: Sequence[Mapping[str, object]],
        kind: str = "schema",  # noqa: ARG002
        reason: str = "",
        *,
        details: Mapping[str, Mapping[str, Any]] | None = None,  # noqa: ARG002
    ) -> int:
        self.blocks.append(Block(changes, samples, reason))
        return 0

    def decisions(self, table: str) -> Sequence[Decision]:
        """Those for all that comes; the others are about raw commits of the table itself."""
        held = self.real.decisions(table)
        return [replace(d, first_seq=0) for d in held if d.last_seq is None]

    def set_status(self, table: str, status: Status) -> None:
        """Stays as it is."""

    def progress(self, table: str) -> Progress:  # noqa: ARG002 - port
        return Progress()

    def update_progress(self, table: str, **values: int | str) -> None:
        """Nothing is kept."""

    def record_batch(self, table: str, result: WriteResult, windows: Mapping[str, int]) -> None:
        """Nothing is kept."""

    def accepted_gaps(self, table: str) -> Sequence[Gap]:  # noqa: ARG002 - port
        return ()


class LookingEngine:
    """What steps make of records, where `real` can say; else `why` it was not looked at, and they
    are taken to give the columns they gave so far."""

    def __init__(self, real: TableEngine | None, columns: Struct | None) -> None:
        self._real, self._columns = real, columns
        self.why = "" if real is not None else "there is no Spark here"

    def layout(self, dataset: Dataset) -> Layout | None:  # noqa: ARG002 - port
        return None

    def check_steps(self, dataset: Dataset) -> None:
        if self._real is not None:
            self._real.check_steps(dataset)

    def derive(self, dataset: Dataset, source: Struct, seen: Struct | None = None) -> Struct:
        if self._real is not None and not self.why:
            try:
                return self._real.derive(dataset, source, seen)
            except (SetupError, EngineError) as error:
                self.why = str(error)
        return source if self._columns is None else self._columns

    def unused(self, dataset: Dataset, source: Struct) -> frozenset[Names]:
        return frozenset() if self._real is None else self._real.unused(dataset, source)

    def exact_as_double(self, dataset: Dataset, paths: Collection[str]) -> bool:
        return self._real is not None and self._real.exact_as_double(dataset, paths)

    def judge(self, job: BatchJob) -> Judgement:
        if self._real is not None and not self.why:
            try:
                return self._real.judge(job)
            except (SetupError, EngineError) as error:
                self.why = str(error)
        return Judgement()


class RememberingDecoders(Decoders):
    """Keeps the last question and its answer: a load that is blocked gives none."""

    def __init__(self, table: str, store: ObjectStore) -> None:
        super().__init__(table, store, None)
        self.asked: Question | None = None
        self.answer: Staged | None = None

    def stage(self, question: Question, objects: Sequence[RawObject], part: int = 0) -> Staged:
        self.asked, self.answer = question, super().stage(question, objects, part)
        return self.answer
