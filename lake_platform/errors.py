"""Every error of the platform, grouped by what the caller should do about it.

Errors carry their data as attributes; the message says what happened, to which object, and what to
do next. Nothing here may ever hold a secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class LakeError(Exception):
    """Root of all errors raised on purpose."""


# ---- fix the input ------------------------------------------------------------------------------


class FixConfigError(LakeError):
    """The caller must change what was asked for; a retry gives the same answer.

    Where it is about one field, the attributes say which, what was given, why not, what to do.
    """

    field: str | None = None
    value: object = None
    reason: str | None = None
    remedy: str | None = None


class InvalidFieldError(FixConfigError):
    """A field of a definition or request cannot be accepted."""

    def __init__(self, field: str, value: object, reason: str, remedy: str) -> None:
        shown = repr(value) if len(repr(value)) <= 120 else repr(value)[:117] + "..."
        super().__init__(f"{field}={shown}: {reason}; {remedy}")
        self.field, self.value, self.reason, self.remedy = field, value, reason, remedy


class DatasetNotFoundError(FixConfigError):
    def __init__(self, dataset: str) -> None:
        self.reason, self.remedy = "is not registered", "`lake datasets list` shows all"
        super().__init__(f"dataset {dataset!r} {self.reason}; {self.remedy}")
        self.field, self.value, self.dataset = "table", dataset, dataset


class NameTakenError(FixConfigError):
    def __init__(self, table: str) -> None:
        self.reason = "is already registered"
        self.remedy = (
            "choose another name (case does not count), or change the dataset there is with "
            "`lake datasets set` or PATCH /datasets/<table>"
        )
        super().__init__(f"table {table!r} {self.reason}; {self.remedy}")
        self.field, self.value, self.table = "table", table, table


class IncidentNotFoundError(FixConfigError):
    def __init__(self, incident: int) -> None:
        self.reason, self.remedy = "there is none", "`lake incidents list --all` shows all"
        super().__init__(f"there is no incident {incident}; {self.remedy}")
        self.field, self.value, self.incident = "incident", incident, incident


class ConflictError(FixConfigError):
    """A compare-and-set lost: somebody changed the dataset in between."""

    def __init__(self, dataset: str, expected: int, actual: int) -> None:
        self.reason = f"dataset {dataset!r} is at version {actual}"
        self.remedy = "read it again and repeat the change"
        super().__init__(
            f"{self.reason}, your change was made against version {expected}; {self.remedy}"
        )
        self.field, self.value = "version", expected
        self.dataset, self.expected, self.actual = dataset, expected, actual


class NotAuthenticatedError(FixConfigError):
    """No token, or one that is not known."""


class NotAllowedError(FixConfigError):
    """The caller is known and may not do this."""


class BodyTooLargeError(FixConfigError):
    def __init__(self, limit_bytes: int) -> None:
        self.reason = f"larger than {limit_bytes} bytes"
        self.remedy = "nothing was changed, send less"
        super().__init__(f"the request body is {self.reason}; {self.remedy}")
        self.field, self.limit_bytes = "body", limit_bytes


class UnsupportedError(FixConfigError):
    """Asked for something this build or engine cannot do."""


class SetupError(FixConfigError):
    """The machine or the settings lack something: Java, a free port, a jar."""


class NothingToAuditError(FixConfigError):
    """The storage holds nothing of the dataset that could be held against Kafka."""

    def __init__(self, table: str, root: str, recorded: int) -> None:
        self.reason = f"there is no raw commit log under {root}"
        self.remedy = (
            f"{recorded} raw commits were recorded, so this is another storage, or it was emptied: "
            f"check LAKE_STORAGE_URL"
            if recorded
            else f"dump it first: lake dump {table}; or check LAKE_STORAGE_URL"
        )
        super().__init__(f"dataset {table!r}: {self.reason}; {self.remedy}")
        self.field, self.value, self.table = "table", table, table
        self.recorded = recorded


# ---- try again ----------------------------------------------------------------------------------


class RetryableError(LakeError):
    """An outside system did not answer, or another writer was faster; a retry is safe.

    What was asked of a system that did not answer may have been done all the same."""


class KafkaUnavailableError(RetryableError):
    pass


class StorageUnavailableError(RetryableError):
    pass


class MetastoreUnavailableError(RetryableError):
    pass


class DagsterUnavailableError(RetryableError):
    """Dagster does not run, or did not answer."""


class ReloadError(RetryableError):
    """Dagster answered that a code location did not load."""


class EngineError(RetryableError):
    """Spark failed in a way that is not about the data."""


class CommitRaceError(RetryableError):
    """Another writer committed this dataset first."""


class UnsettledTableError(RetryableError):
    """A table that is being written cannot be counted."""

    def __init__(self, table: str, why: str) -> None:
        super().__init__(
            f"table {table!r}: {why}, so nothing can be said of it; audit again after `lake load "
            f"{table}` or the run that loads it"
        )
        self.table = table


class BatchClaimedError(RetryableError):
    """A live writer holds the claim on this table's next batch."""

    def __init__(self, table: str, owner: str) -> None:
        super().__init__(
            f"table {table!r} is being loaded by {owner}; this load does nothing, the next one "
            f"goes on where that one stops"
        )
        self.table, self.owner = table, owner


# ---- stop this dataset, an operator decides -----------------------------------------------------


class StopDatasetError(LakeError):
    """Going on would lose or change data; nothing was written."""


class OffsetsMissingError(StopDatasetError):
    """Kafka does not hold offsets that were never read.

    `ranges` maps partition to the half-open range `[start, end)` that is gone.
    """

    def __init__(self, dataset: str, topic: str, ranges: Mapping[int, tuple[int, int]]) -> None:
        listed = ", ".join(f"p{p} [{a}, {b})" for p, (a, b) in sorted(ranges.items()))
        super().__init__(
            f"dataset {dataset!r}: topic {topic!r} no longer holds offsets {listed}: they aged "
            f"out before they were read, or the topic was re-created; nothing was skipped. "
            f"To go on without them, accept the gap: lake gaps accept {dataset}"
        )
        self.dataset, self.topic, self.ranges = dataset, topic, dict(ranges)


class TopicRecreatedError(StopDatasetError):
    def __init__(self, dataset: str, topic: str, known: str, found: str) -> None:
        super().__init__(
            f"dataset {dataset!r}: topic {topic!r} was deleted and re-created (id {known} became "
            f"{found}), so its offsets mean other records now; register a new dataset for the new "
            f"topic, or retire this one"
        )
        self.dataset, self.topic, self.known, self.found = dataset, topic, known, found


class OffsetsWentBackError(StopDatasetError):
    """Kafka's log ends before offsets that were already read."""

    def __init__(self, dataset: str, topic: str, partition: int, read: int, end: int) -> None:
        super().__init__(
            f"dataset {dataset!r}: topic {topic!r} partition {partition} ends at offset {end}, but "
            f"was read up to {read} before; the broker lost acknowledged records (unclean leader "
            f"election or a restored backup). Nothing was read; register a new dataset when the "
            f"topic is sound again"
        )
        self.dataset, self.topic, self.partition = dataset, topic, partition
        self.read, self.end = read, end


class NotRunnableError(FixConfigError):
    """The dataset's status forbids this."""

    def __init__(self, dataset: str, status: str) -> None:
        remedies = {
            "PAUSED": f"resume it first: lake datasets resume {dataset}",
            "RETIRED": "that is for good; register a new table on the same topic",
            "BLOCKED": f"see the breaking change: lake incidents list --table {dataset}",
        }
        self.reason, self.remedy = "its status forbids it", remedies[status]
        super().__init__(f"dataset {dataset!r} is {status}; {self.remedy}")
        self.field, self.value, self.dataset, self.status = "status", status, dataset, status


class SchemaBlockedError(StopDatasetError):
    """A breaking schema change; `changes` holds one line per breaking change."""

    def __init__(self, dataset: str, changes: Sequence[str]) -> None:
        super().__init__(
            f"dataset {dataset!r} is BLOCKED by a breaking schema change: {'; '.join(changes)}. "
            f"Nothing was written, raw keeps growing, other tables go on. "
            f"See: lake datasets schema {dataset}"
        )
        self.dataset, self.changes = dataset, list(changes)


class QuarantineRatioError(StopDatasetError):
    def __init__(self, dataset: str, bad: int, total: int, limit: float, reasons: str) -> None:
        super().__init__(
            f"dataset {dataset!r}: {bad} of {total} records of this batch are bad ({reasons}), "
            f"more than max_quarantine_ratio={limit:g}; nothing was written. Fix the producer, or "
            f"raise the limit: lake datasets set {dataset} max_quarantine_ratio=1.0"
        )
        self.dataset, self.bad, self.total, self.limit = dataset, bad, total, limit


class TransformError(StopDatasetError):
    def __init__(self, dataset: str, step: str, batch: str, first_offset: str, why: str) -> None:
        super().__init__(
            f"dataset {dataset!r}: transform {step} failed on batch {batch} (first record "
            f"{first_offset}): {why}. Nothing was written; mend the transform and load again"
        )
        self.dataset, self.step, self.batch, self.first_offset = dataset, step, batch, first_offset


class CorruptRawError(StopDatasetError):
    """A raw object is not what its commit says it is."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(
            f"raw object {key!r}: {why}; it was changed outside the platform. Restore it from a "
            f"backup"
        )
        self.key = key


class RawExpiredError(StopDatasetError):
    """Raw retention removed objects that this needs; commits `[first_seq, last_seq]`."""

    def __init__(self, table: str, first_seq: int, last_seq: int, windows: Sequence[str]) -> None:
        shown = ", ".join(windows[:5]) + (f" and {len(windows) - 5} more" if windows[5:] else "")
        super().__init__(
            f"table {table!r}: raw retention removed the objects of raw commits {first_seq} to "
            f"{last_seq} (windows {shown}), so they cannot be applied again; the table keeps the "
            f"rows it has. Replay newer windows only; LAKE_RAW_RETENTION_DAYS says how long raw "
            f"is kept"
        )
        self.table, self.first_seq, self.last_seq = table, first_seq, last_seq


class TableDamagedError(StopDatasetError):
    """A file that a table's own log names is not there."""

    def __init__(self, table: str, key: str, why: str) -> None:
        super().__init__(
            f"table {table!r}: file {key!r} is gone: {why}. It was removed outside the platform; "
            f"bring it back, or remove the table whole (lake/{table}/ and "
            f"checkpoints/{table}/phase2/) to build it again from raw"
        )
        self.table, self.key = table, key


class TableUnreadableError(StopDatasetError):
    """An engine other than the writer's cannot read a table."""

    def __init__(self, table: str, engine: str, why: str) -> None:
        super().__init__(
            f"table {table!r}: {engine} cannot read it: {why}. Where Spark cannot either it was "
            f"changed outside the platform: bring its files back, or remove the table whole "
            f"(lake/{table}/ and checkpoints/{table}/phase2/) to build it again from raw"
        )
        self.table, self.engine = table, engine


class CheckpointLostError(StopDatasetError):
    """A table's own checkpoint is behind what was recorded as applied to it."""

    def __init__(self, table: str, recorded: int, found: int) -> None:
        super().__init__(
            f"table {table!r} says raw commits up to {found} are applied, but up to {recorded} "
            f"were: its newest commits were rolled back or archived, or an old copy was restored. "
            f"Nothing was written, loading on would add rows twice. Bring the newer table back, "
            f"or remove it whole (lake/{table}/ and checkpoints/{table}/phase2/) to build it "
            f"again from raw"
        )
        self.table, self.recorded, self.found = table, recorded, found
