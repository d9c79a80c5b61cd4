"""The conditions of alerts: each fires when it should, alone, and no healthy table fires any."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lake_platform.domain import alerts
from lake_platform.domain.alerts import RETRIED_MS, SEVERITIES, Break, Known, firing
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.progress import NEVER, DatasetRecord, Progress

NOW = 1_793_491_200_000
HOUR_MS = 3_600_000
WELL = Progress(
    head_seq=3, applied_seq=3, records=5, complete_as_of=NOW, complete_through=NOW,
    dumped_at=NOW, loaded_at=NOW, looked_at=NOW, loss_at=NOW + 24 * HOUR_MS, kept_ms=24 * HOUR_MS,
)  # fmt: skip
LATE = replace(WELL, complete_as_of=NOW - HOUR_MS, complete_through=NOW - HOUR_MS)
LOADS_FAIL = replace(
    WELL, load_error="disk is full", load_error_kind="StorageUnavailableError",
    load_failing_since=NOW - RETRIED_MS,
)  # fmt: skip
AWAY = replace(
    WELL, dump_error="no answer", dump_error_kind="KafkaUnavailableError",
    dump_failing_since=NOW - RETRIED_MS,
)  # fmt: skip


def record(table: str = "t", status: Status = Status.LIVE, **values: Any) -> DatasetRecord:
    return DatasetRecord(Dataset(topic="t", table=table, **values), 1, status, NOW)


def names(held: DatasetRecord, progress: Progress, **known: Any) -> list[str]:
    table = held.dataset.table
    return [a.name for a in firing(Known([held], {table: progress}, **known), NOW)]


CASES: dict[str, tuple[DatasetRecord, Progress, list[str]]] = {
    "well": (record(), WELL, []),
    "registered a moment ago": (record(status=Status.REGISTERED), Progress(), []),
    "blocked": (record(status=Status.BLOCKED), WELL, [alerts.BLOCKED]),
    "blocked is late as such": (record(status=Status.BLOCKED), LATE, [alerts.BLOCKED]),
    "blocked, its loads failed": (
        record(status=Status.BLOCKED),
        replace(LOADS_FAIL, load_error_kind="RepeatedFailureError"),
        [alerts.BLOCKED],
    ),
    "blocked, and dumps fail too": (
        record(status=Status.BLOCKED),
        replace(WELL, dump_error="x", dump_error_kind="CorruptRawError", dump_failing_since=NOW),
        [alerts.BLOCKED, alerts.RUNS_FAIL],
    ),
    "too many bad records": (
        record(),
        replace(LOADS_FAIL, load_error_kind="QuarantineRatioError"),
        [alerts.QUARANTINE],
    ),
    "not one record was fit": (
        record(), replace(WELL, records=0, quarantined=9), [alerts.QUARANTINE],
    ),
    "some records were not": (record(), replace(WELL, quarantined=9), []),
    "late": (record(), LATE, [alerts.LATE]),
    "at its promise": (record(max_lag_seconds=3_600), LATE, []),
    "paused may be late": (record(status=Status.PAUSED), LATE, []),
    "bootstraps": (
        record(status=Status.BOOTSTRAPPING), replace(LATE, backlog=9, looked_at=NOW), [],
    ),
    "bootstraps, and nothing comes of it": (
        record(status=Status.BOOTSTRAPPING),
        replace(LATE, dumped_at=NOW - HOUR_MS, loaded_at=NOW - HOUR_MS),
        [alerts.LATE],
    ),
    "loss is near": (
        record(), replace(WELL, backlog=5, loss_at=NOW + HOUR_MS), [alerts.DATA_LOSS],
    ),
    "loss is near while paused": (
        record(status=Status.PAUSED),
        replace(WELL, backlog=5, loss_at=NOW + HOUR_MS),
        [alerts.DATA_LOSS],
    ),
    "kept for ever": (record(), replace(WELL, backlog=5, loss_at=NEVER), []),
    "records are gone": (
        record(),
        replace(WELL, dump_error="gone", dump_error_kind="OffsetsMissingError"),
        [alerts.DATA_LOSS],
    ),
    "a reader tells not what its owner tells": (
        record(raw_from="owner"), replace(AWAY, backlog=5, loss_at=NOW + HOUR_MS), [],
    ),
    "loads fail for long": (record(), LOADS_FAIL, [alerts.RUNS_FAIL]),
    "loads fail since a moment": (
        record(), replace(LOADS_FAIL, load_failing_since=NOW - 60_000), [],
    ),
    "loads stopped": (
        record(),
        replace(LOADS_FAIL, load_error_kind="TransformError", load_failing_since=NOW),
        [alerts.RUNS_FAIL],
    ),
    "paused while loads failed": (record(status=Status.PAUSED), LOADS_FAIL, []),
    "Kafka is away": (record(), AWAY, [alerts.KAFKA]),
    "Kafka lets nobody in": (
        record(), replace(AWAY, dump_error_kind="KafkaRefusedError"), [alerts.KAFKA],
    ),
    "a right is missing": (
        record(), replace(AWAY, dump_error_kind="KafkaDeniedError"), [alerts.RUNS_FAIL],
    ),
    "Kafka is away since a moment": (record(), replace(AWAY, dump_failing_since=NOW - 60_000), []),
    "retired": (record(status=Status.RETIRED), replace(AWAY, quarantined=9, records=0), []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_fires(case: str) -> None:
    held, progress, expected = CASES[case]
    assert names(held, progress) == expected


def test_each_condition_over_the_metastore_has_a_case() -> None:
    tried = {name for _, _, expected in CASES.values() for name in expected}
    elsewhere = {alerts.CHECK_FAILED, alerts.JOB_FAILED, alerts.BROKEN, alerts.UNDELIVERED}
    assert tried | elsewhere == set(SEVERITIES)


def test_the_text_says_what_and_what_to_do() -> None:
    held = record("orders", Status.BLOCKED)
    breaks = {"orders": Break(7, "breaking schema change: column id: long became string")}
    [alert] = firing(Known([held], {"orders": WELL}, breaks), NOW)
    assert (alert.key, alert.severity) == ("LakeTableBlocked/orders/7", "critical")
    assert "column id: long became string" in alert.text
    assert alert.remedy == "lake incidents show 7"


def test_a_thousand_tables_without_kafka_are_one_alert() -> None:
    many = [record(f"t{n}") for n in range(1_000)]
    [alert] = firing(Known(many, {r.dataset.table: AWAY for r in many}), NOW)
    assert alert.name == alerts.KAFKA
    assert "dumps of 1000 tables wait: no answer" in alert.text


def test_definitions_that_cannot_be_read_are_told() -> None:
    [alert] = firing(Known([], {}, broken={"x": "no such mode", "y": "no topic"}), NOW)
    assert (alert.name, alert.table) == (alerts.BROKEN, "")
    assert "2 definitions cannot be read: x: no such mode; y: no topic" in alert.text
