"""Prometheus metrics, read from the metastore at each scrape: right after a restart too.

`records_ingested` is exposed twice: as `records_ingested_total` (a counter, as the client names
counters) and under the exact name `records_ingested` (a gauge of the same value).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lake_platform.api import metrics_alerts
from lake_platform.domain.dataset import Status
from lake_platform.domain.ports import Clock
from lake_platform.domain.progress import Progress, lag_seconds, time_to_data_loss_seconds
from lake_platform.metastore.repository import Repository

_PROGRESS = {
    "records_ingested": "Records in the raw log.",
    "records": "Records written to the table by its batches.",
    "quarantined_records": "Records in quarantine.",
    "quarantined_deletes": "Deletes of an upsert table in quarantine: their rows are still there.",
    "backlog_records": "Records Kafka had beyond the raw log when last looked at.",
    "bytes_ingested": "Uncompressed bytes in the raw log.",
    "deleted_records": "Keys deleted from the table.",
    "deduplicated_records": "Records a later one of the same key replaced.",
    "dropped_records": "Records left out on purpose.",
}


class MetastoreCollector(Collector):
    """Six reads of the metastore a scrape, however many datasets there are."""

    def __init__(self, metastore: Repository, clock: Clock, reached: Mapping[str, bool]) -> None:
        self._metastore = metastore
        self._clock = clock
        self._reached = reached

    def describe(self) -> list[Metric]:
        return []  # else registering reads the metastore only to learn the names

    def collect(self) -> Iterator[Metric]:
        broken: list[str] = []
        records = self._metastore.list_all(on_broken=lambda table, _: broken.append(table))
        progress = self._metastore.all_progress()
        blocked = self._metastore.blocked_tables("schema")
        now = self._clock()
        label = ["dataset"]
        gauges = {
            name: GaugeMetricFamily(name, text, labels=label) for name, text in _PROGRESS.items()
        }
        total = CounterMetricFamily("records_ingested", "Records in the raw log.", labels=label)
        lag = GaugeMetricFamily(
            "lag_seconds", "Age of the moment up to which the table is complete.", labels=label
        )
        loss = GaugeMetricFamily(
            "time_to_data_loss_seconds",
            "Until unread records may age out of Kafka; +Inf: no danger; none: not known.",
            labels=label,
        )
        breaking = GaugeMetricFamily(
            "breaking_schema_change", "1 while a breaking schema change waits.", labels=label
        )
        failing = GaugeMetricFamily(
            "phase_failing", "1 while the last run of a phase failed; `error` is its class.",
            labels=["dataset", "phase", "error"],
        )  # fmt: skip
        failures = GaugeMetricFamily(
            "load_failures", "Loads in a row that failed in the same way.", labels=label
        )
        status = GaugeMetricFamily(
            "dataset_status", "1 for the status that the dataset is in.",
            labels=["dataset", "status"],
        )  # fmt: skip
        success = GaugeMetricFamily(
            "last_success_timestamp_seconds", "When a phase last went through; none: never.",
            labels=["dataset", "phase"], unit="seconds",
        )  # fmt: skip
        for record in records:
            table = record.dataset.table
            for one in Status:
                status.add_metric([table, one.value], one is record.status)
            found = progress.get(table, Progress())
            for name, value in _values(found).items():
                gauges[name].add_metric([table], value)
            total.add_metric([table], found.records_ingested)
            lag.add_metric([table], lag_seconds(record, found, now))
            left = time_to_data_loss_seconds(record, found, now)
            if left is not None:
                loss.add_metric([table], left)
            breaking.add_metric([table], table in blocked)
            failures.add_metric([table], found.load_failures)
            for phase, at in (("dump", found.dumped_at), ("load", found.loaded_at)):
                if at:
                    success.add_metric([table, phase], at / 1000)
            for phase, kind in _failing(found):
                failing.add_metric([table, phase, kind], 1)
        yield from (*gauges.values(), total, lag, loss, breaking, failures, failing)
        yield from (status, success)
        known = {r.dataset.table: progress.get(r.dataset.table, Progress()) for r in records}
        yield from metrics_alerts.promises(records, known)
        yield from metrics_alerts.failures(records, known, now)
        yield from metrics_alerts.alerts(self._metastore, now)
        yield from metrics_alerts.reachable(self._reached)
        yield GaugeMetricFamily(
            "broken_definitions", "Definitions this release cannot read.", value=len(broken)
        )


def render(metastore: Repository, clock: Clock, reached: Mapping[str, bool]) -> bytes:
    """The text of one scrape; `reached`: outside systems, and whether they answer.

    Raises: MetastoreUnavailableError."""
    registry = CollectorRegistry()
    registry.register(MetastoreCollector(metastore, clock, reached))
    return generate_latest(registry)


def _failing(found: Progress) -> Iterator[tuple[str, str]]:
    if found.dump_error:
        yield "dump", found.dump_error_kind
    if found.load_error:
        yield "load", found.load_error_kind


def _values(found: Progress) -> dict[str, int]:
    return {
        "records_ingested": found.records_ingested,
        "records": found.records,
        "quarantined_records": found.quarantined,
        "quarantined_deletes": found.quarantined_deletes,
        "backlog_records": found.backlog,
        "bytes_ingested": found.bytes_ingested,
        "deleted_records": found.deleted,
        "deduplicated_records": found.deduplicated,
        "dropped_records": found.dropped,
    }
