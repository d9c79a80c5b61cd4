"""What somebody must be told of: conditions over what is known of the datasets. Pure.

`deploy/alerts.yaml` has the same ones for Prometheus, by the same names; docs/operations.md has a
heading for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from lake_platform.domain.dataset import Status
from lake_platform.domain.failures import stops
from lake_platform.domain.progress import (
    LOSSES,
    Progress,
    Watched,
    data_loss_limit_seconds,
    lag_seconds,
    time_to_data_loss_seconds,
)

Seen_co = TypeVar("Seen_co", bound=Watched, covariant=True)
RETRIED_MS = 300_000
"""A failure that may pass by itself is told once it was retried for this long."""

_AWAY = frozenset(["KafkaUnavailableError", "KafkaRefusedError"])
BLOCKED = "LakeTableBlocked"
QUARANTINE = "LakeQuarantineOverLimit"
LATE = "LakeTableLate"
DATA_LOSS = "LakeDataLossNear"
RUNS_FAIL = "LakeRunsFail"
KAFKA = "LakeKafkaUnreachable"
CHECK_FAILED = "LakeCheckFailed"
JOB_FAILED = "LakeJobFailed"
BROKEN = "LakeDefinitionBroken"
UNDELIVERED = "LakeAlertsNotDelivered"
SEVERITIES: Mapping[str, str] = {
    BLOCKED: "critical",
    QUARANTINE: "critical",
    LATE: "warning",
    DATA_LOSS: "critical",
    RUNS_FAIL: "critical",
    KAFKA: "critical",
    CHECK_FAILED: "critical",
    JOB_FAILED: "warning",
    BROKEN: "warning",
    UNDELIVERED: "warning",
}
"""Every alert there is, by name."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that is wrong now. `table` is empty where it is about the whole platform;
    `subject` tells two of one name and table apart: the incident, the phase, the check."""

    name: str
    table: str
    subject: str
    text: str
    remedy: str

    @property
    def severity(self) -> str:
        return SEVERITIES[self.name]

    @property
    def key(self) -> str:
        return f"{self.name}/{self.table}/{self.subject}"


@dataclass(frozen=True, slots=True)
class Break:
    """An open incident: its number, and what it is about."""

    incident: int
    why: str


@dataclass(frozen=True, slots=True)
class Known(Generic[Seen_co]):
    """What the metastore has of all datasets; `broken`: why definitions cannot be read."""

    records: Iterable[Seen_co]
    progress: Mapping[str, Progress]
    breaks: Mapping[str, Break] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)


def firing(known: Known[Watched], now_ms: int) -> list[Alert]:
    """What the metastore alone can tell; checks, jobs and receivers are judged elsewhere."""
    found: list[Alert] = []
    away: list[str] = []
    for record in known.records:
        table = record.dataset.table
        progress = known.progress.get(table, Progress())
        found += _of_table(record, progress, known.breaks.get(table), now_ms)
        if kafka_away(record, progress, now_ms):
            away.append(table)
    if away:
        found.append(_unreachable(away, known.progress[away[0]].dump_error))
    if known.broken:
        found.append(_broken(known.broken))
    return found


def _of_table(
    record: Watched, progress: Progress, held: Break | None, now_ms: int
) -> Iterator[Alert]:
    table = record.dataset.table
    if record.status is Status.RETIRED:
        return
    if record.status is Status.BLOCKED:
        number, why = (held.incident, held.why) if held else (0, progress.load_error)
        yield Alert(
            BLOCKED, table, str(number),
            f"table {table} is BLOCKED: {why or 'an incident waits'}; raw goes on",
            f"lake incidents show {number}" if number else f"lake datasets resume {table}",
        )  # fmt: skip
    if over_quarantine(progress):
        yield Alert(QUARANTINE, table, "", _quarantine_text(table, progress),
                    f"lake quarantine list {table}")  # fmt: skip
    if late(record, progress, now_ms):
        lag, limit = lag_seconds(record, progress, now_ms), record.dataset.max_lag_seconds
        yield Alert(LATE, table, "",
                    f"table {table} is {lag:.0f} s behind, max_lag_seconds is {limit}",
                    f"lake datasets stats {table}")  # fmt: skip
    if data_loss_near(record, progress, now_ms):
        yield Alert(DATA_LOSS, table, "", _loss_text(record, progress, now_ms),
                    f"lake dump {table}")  # fmt: skip
    for phase in failed_phases(record, progress, now_ms):
        error = progress.dump_error if phase == "dump" else progress.load_error
        yield Alert(RUNS_FAIL, table, phase, f"each {phase} of table {table} fails: {error}",
                    f"lake {phase} {table}")  # fmt: skip


def over_quarantine(progress: Progress) -> bool:
    """A batch had too many bad records, or not one record of all was fit."""
    return progress.load_error_kind == "QuarantineRatioError" or progress.all_quarantined


def late(record: Watched, progress: Progress, now_ms: int) -> bool:
    """Beyond its promise. A BLOCKED table is told of as such; a PAUSED one may be late; one that
    bootstraps is late only when nothing has come of it for as long."""
    limit = record.dataset.max_lag_seconds
    if record.status in {Status.BLOCKED, Status.PAUSED, Status.RETIRED}:
        return False
    moved = max(progress.dumped_at, progress.loaded_at)
    if record.status is Status.BOOTSTRAPPING and (now_ms - moved) / 1000 <= limit:
        return False
    return lag_seconds(record, progress, now_ms) > limit


def data_loss_near(record: Watched, progress: Progress, now_ms: int) -> bool:
    """Told of whose raw it is, PAUSED or not: Kafka does not wait."""
    left = time_to_data_loss_seconds(record, progress, now_ms)
    limit = data_loss_limit_seconds(record, progress)
    return not record.dataset.raw_from and left is not None and left < limit


def failed_phases(record: Watched, progress: Progress, now_ms: int) -> list[str]:
    """Phases that fail for good, or for longer than retries should need. What has an alert of its
    own is left to that."""
    if record.status is Status.PAUSED:
        return []
    found = []
    since, kind = progress.dump_failing_since, progress.dump_error_kind
    own = not record.dataset.raw_from and kind not in LOSSES | _AWAY
    if own and _failed(progress.dump_error, kind, since, now_ms):
        found.append("dump")
    since, kind = progress.load_failing_since, progress.load_error_kind
    own = record.status is not Status.BLOCKED and kind != "QuarantineRatioError"
    if own and _failed(progress.load_error, kind, since, now_ms):
        found.append("load")
    return found


def kafka_away(record: Watched, progress: Progress, now_ms: int) -> bool:
    if record.status in {Status.PAUSED, Status.RETIRED} or record.dataset.raw_from:
        return False
    known = progress.dump_error_kind in _AWAY
    return known and now_ms - progress.dump_failing_since >= RETRIED_MS


def _failed(error: str, kind: str, since_ms: int, now_ms: int) -> bool:
    return bool(error) and (stops(kind) or now_ms - since_ms >= RETRIED_MS)


def _quarantine_text(table: str, progress: Progress) -> str:
    if progress.all_quarantined:
        return f"no row of table {table} came of {progress.quarantined} records: all are bad"
    return progress.load_error


def _loss_text(record: Watched, progress: Progress, now_ms: int) -> str:
    if progress.unread_is_gone:
        return f"unread records are gone: {progress.dump_error}"
    left = time_to_data_loss_seconds(record, progress, now_ms) or 0
    return (
        f"Kafka may drop records of topic {record.dataset.topic} that were not read in {left:.0f} s"
    )


def _unreachable(away: list[str], error: str) -> Alert:
    return Alert(
        KAFKA, "", "", f"Kafka does not let us read, dumps of {len(away)} tables wait: {error}",
        f"lake dump {away[0]}",
    )  # fmt: skip


def _broken(broken: Mapping[str, str]) -> Alert:
    said = "; ".join(f"{table}: {why}" for table, why in list(broken.items())[:5])
    return Alert(
        BROKEN, "", "", f"{len(broken)} definitions cannot be read: {said}"[:1_000],
        "lake datasets list",
    )  # fmt: skip
