"""Going on would lose or change data: the dataset stops, an operator decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lake_platform.errors.root import LakeError


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


class SchemaBlockedError(StopDatasetError):
    """A breaking schema change; `changes` holds one line per breaking change."""

    def __init__(self, dataset: str, incident: int, changes: Sequence[str]) -> None:
        super().__init__(
            f"dataset {dataset!r} is BLOCKED by a breaking schema change: {'; '.join(changes)}. "
            f"Nothing was written, raw keeps growing, other tables go on. See what can be done: "
            f"lake incidents show {incident}"
        )
        self.dataset, self.incident, self.changes = dataset, incident, list(changes)


class RepeatedFailureError(StopDatasetError):
    """Loads failed in the same way, one after the other; an incident waits for an operator."""

    def __init__(self, dataset: str, incident: int, times: int, why: str) -> None:
        super().__init__(
            f"dataset {dataset!r} is BLOCKED (incident {incident}): the last {times} loads failed "
            f"in the same way: {why}. Raw keeps growing, other tables go on. Mend the cause, then "
            f"let it be tried again: lake datasets resume {dataset}"
        )
        self.dataset, self.incident, self.times = dataset, incident, times


class QuarantineRatioError(StopDatasetError):
    def __init__(
        self, dataset: str, bad: int, total: int, limit: float, reasons: str, doubted: str = ""
    ) -> None:
        """`doubted`: the field of the definition that may be wrong in place of the records."""
        wrong = (
            f"If the records are what they should be, {doubted} is wrong for this topic: register "
            f"a second table on it with the right one and retire this one. Else fix"
            if doubted
            else "Fix"
        )
        super().__init__(
            f"dataset {dataset!r}: {bad} of {total} records of this batch are bad ({reasons}), "
            f"more than max_quarantine_ratio={limit:g}; nothing was written. {wrong} the producer, "
            f"or raise the limit: lake datasets set {dataset} max_quarantine_ratio=1.0"
        )
        self.dataset, self.bad, self.total, self.limit = dataset, bad, total, limit


class ReplayRefusedError(StopDatasetError):
    """Applying raw commits again would leave records in two places, or rescue too many values."""

    def __init__(self, table: str, batch: str, why: str, remedy: str) -> None:
        super().__init__(
            f"table {table!r}: applying batch {batch} again is refused: {why}. Nothing of it was "
            f"written and the table goes on; {remedy}"
        )
        self.table, self.batch, self.why, self.remedy = table, batch, why, remedy


class TransformError(StopDatasetError):
    def __init__(self, dataset: str, step: str, batch: str, first_offset: str, why: str) -> None:
        super().__init__(
            f"dataset {dataset!r}: transform {step} failed on batch {batch} (first record "
            f"{first_offset}): {why}. Nothing was written; mend the transform and load again"
        )
        self.dataset, self.step, self.batch, self.first_offset = dataset, step, batch, first_offset


class StepCodeError(StopDatasetError):
    """The JAR or function of a step is not the one on record."""

    def __init__(self, dataset: str, step: str, why: str) -> None:
        super().__init__(
            f"dataset {dataset!r}: step {step} is not what is on record: {why}. Nothing was "
            f"written, and raw keeps growing"
        )
        self.dataset, self.step, self.why = dataset, step, why


class RuleBrokenError(StopDatasetError):
    """Rows of a batch break rules with policy `block`; an incident waits for an operator."""

    def __init__(self, dataset: str, incident: int, said: str) -> None:
        super().__init__(
            f"dataset {dataset!r} is BLOCKED (incident {incident}): rule {said} of this batch. "
            f"Nothing was written, raw keeps growing, other tables go on. See: lake incidents show "
            f"{incident}. Mend the producer's records or the rule, then let it be tried again: "
            f"lake datasets resume {dataset}"
        )
        self.dataset, self.incident = dataset, incident


class CorruptRawError(StopDatasetError):
    """A raw object is not what its commit says it is."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(
            f"raw object {key!r}: {why}; it was changed outside the platform. Restore it from a "
            f"backup"
        )
        self.key = key


class NotDecodedError(StopDatasetError):
    """Records were accepted and not decoded: a fault of the platform."""

    def __init__(self, table: str, records: int, key: str) -> None:
        super().__init__(
            f"table {table!r}: {records} records of raw object {key!r} and those loaded with it "
            f"were accepted, but could not be decoded. Nothing was written and nothing is lost. "
            f"This is a fault of the platform: report it with the raw object"
        )
        self.table, self.records, self.key = table, records, key


class RawExpiredError(StopDatasetError):
    """Raw retention removed objects that this needs; commits `[first_seq, last_seq]`.
    `quarantined`: they were needed for records in quarantine."""

    def __init__(
        self,
        table: str,
        first_seq: int,
        last_seq: int,
        windows: Sequence[str],
        instead: str = "",
        *,
        quarantined: bool = False,
    ) -> None:
        shown = ", ".join(windows[:5]) + (f" and {len(windows) - 5} more" if windows[5:] else "")
        super().__init__(
            f"table {table!r}: raw retention removed the objects of raw commits {first_seq} to "
            f"{last_seq} (windows {shown}), so they cannot be applied again; "
            + _without_raw(table, instead, quarantined=quarantined)
        )
        self.table, self.first_seq, self.last_seq = table, first_seq, last_seq


class RebuildStoppedError(StopDatasetError):
    """A rebuilt table cannot be made, or must not be swapped in; the live one is as it was."""

    def __init__(self, table: str, why: str, remedy: str) -> None:
        super().__init__(
            f"the rebuild of table {table!r} stopped: {why}. The live table is as it was; {remedy}"
        )
        self.table, self.why, self.remedy = table, why, remedy


def _without_raw(table: str, instead: str, *, quarantined: bool) -> str:
    if quarantined:
        return (
            f"the table keeps the rows it has. The records themselves are still in quarantine, "
            f"as they came: produce them to the topic again, from "
            f"`lake quarantine show {table} --json`"
        )
    then = instead or "the table keeps the rows it has. Replay newer windows only"
    return f"{then}; LAKE_RAW_RETENTION_DAYS says how long raw is kept"


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


class OldTableError(StopDatasetError):
    """A table as an older release made it cannot take what comes."""

    def __init__(self, table: str, why: str) -> None:
        super().__init__(
            f"table {table!r}, made by an older release: {why}. Nothing was written. Remove the "
            f"table whole (lake/{table}/ and checkpoints/{table}/phase2/): the next load builds it "
            f"again from raw, and that table can"
        )
        self.table = table


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
