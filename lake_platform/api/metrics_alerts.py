"""What `deploy/alerts.yaml` looks at: promises, phases that fail, and what the sensor found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from lake_platform.alerting.deliver import BEAT
from lake_platform.domain.failures import stops
from lake_platform.domain.progress import DatasetRecord, Progress, data_loss_limit_seconds
from lake_platform.domain.telling import AlertStore


def promises(
    records: Sequence[DatasetRecord], progress: Mapping[str, Progress]
) -> Iterator[Metric]:
    label = ["dataset"]
    lag = GaugeMetricFamily("max_lag_seconds", "What the dataset promises.", labels=label)
    loss = GaugeMetricFamily(
        "data_loss_limit_seconds",
        "With less time_to_data_loss_seconds than this somebody must know; of datasets that dump.",
        labels=label,
    )
    for record in records:
        table = record.dataset.table
        lag.add_metric([table], record.dataset.max_lag_seconds)
        if not record.dataset.raw_from:
            loss.add_metric([table], data_loss_limit_seconds(record, progress[table]))
    yield from (lag, loss)


def failures(
    records: Sequence[DatasetRecord], progress: Mapping[str, Progress], now_ms: int
) -> Iterator[Metric]:
    """Of a dataset that reads the raw of another one, phase 1 is that one's."""
    failed = CounterMetricFamily(
        "failed_runs", "Runs of a phase that failed.", labels=["dataset", "phase"]
    )
    told = ["dataset", "phase", "error"]
    since = GaugeMetricFamily(
        "phase_failing_seconds", "How long a phase has failed; none: its last run went through.",
        labels=told,
    )  # fmt: skip
    stopped = GaugeMetricFamily(
        "phase_stopped", "1 when no retry mends what a phase failed by.", labels=told
    )
    for record in records:
        table = record.dataset.table
        for phase, count, error, kind, at in _phases(record, progress[table]):
            failed.add_metric([table, phase], count)
            if error:
                since.add_metric([table, phase, kind], max(0, now_ms - at) / 1000)
                stopped.add_metric([table, phase, kind], stops(kind))
    yield from (failed, since, stopped)


def _phases(record: DatasetRecord, p: Progress) -> Iterator[tuple[str, int, str, str, int]]:
    if not record.dataset.raw_from:
        yield "dump", p.failed_dumps, p.dump_error, p.dump_error_kind, p.dump_failing_since
    yield "load", p.failed_loads, p.load_error, p.load_error_kind, p.load_failing_since


def alerts(store: AlertStore, now_ms: int) -> Iterator[Metric]:
    firing = GaugeMetricFamily(
        "alert_firing", "1 for each alert that the sensor `alerts` found.",
        labels=["alert", "severity", "dataset", "subject"],
    )  # fmt: skip
    for one in store.held_alerts():
        if not one.closed_at and not one.quiet_since:
            a = one.alert
            firing.add_metric([a.name, a.severity, a.table, a.subject], 1)
    failing = GaugeMetricFamily(
        "alert_receiver_failing_seconds",
        "How long a receiver of alerts has not taken messages; 0: it takes them.",
        labels=["receiver"],
    )
    for state in store.receivers().values():
        since = state.failing_since
        failing.add_metric([state.name], (now_ms - since) / 1000 if since else 0)
    looked = GaugeMetricFamily(
        "alerts_looked_timestamp_seconds", "When the sensor `alerts` last looked; none: never."
    )
    if at := store.beats().get(BEAT):
        looked.add_metric([], at / 1000)
    yield from (firing, failing, looked)


def reachable(found: Mapping[str, bool]) -> Iterator[Metric]:
    for name, ok in found.items():
        yield GaugeMetricFamily(f"{name}_reachable", f"1 while {name} answers the API.", value=ok)
