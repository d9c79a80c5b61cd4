"""The sensor that tells: what the metastore knows, and what only Dagster does."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import dagster as dg
import pytest

from assets.checks import check_key
from assets.jobs import maintenance_job
from assets.translator import asset_key
from lake_platform.domain.alerts import BLOCKED, CHECK_FAILED, JOB_FAILED, LATE
from lake_platform.settings import load_settings
from sensors.alerts import alerts_sensor
from tests.dagster.fakes import HOUR_MS, World, definitions, fake_platform
from tests.dagster.test_sensors import dumped
from tests.receivers import HttpInbox, http_inbox

SECRET = "s3cr3t-T0KEN"


@pytest.fixture
def inbox(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpInbox]:
    with http_inbox() as made:
        monkeypatch.setenv("LAKE_ALERT_WEBHOOK_URL", made.url)
        world.settings = load_settings(world.settings.home)
        yield made


def tick(world: World, instance: dg.DagsterInstance, after_ms: int = 30_000) -> str:
    """What the sensor says of its round."""
    world.now_ms += after_ms
    tables = frozenset(r.dataset.table for r in world.metastore.list_all())
    with dg.build_sensor_context(
        instance=instance, definitions=definitions(world),
        resources={"platform": fake_platform(world)},
    ) as context:  # fmt: skip
        result = alerts_sensor(tables)(context)
    assert isinstance(result, dg.SkipReason)
    return str(result.skip_message)


def told(inbox: HttpInbox) -> list[str]:
    bodies, inbox.bodies = inbox.bodies, []
    return [f"{a['alert']} {a['table']} {a['status']}" for b in bodies for a in b["alerts"]]


def test_it_is_part_of_the_definitions(world: World) -> None:
    sensor = definitions(world).get_repository_def().get_sensor_def("alerts")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert sensor.minimum_interval_seconds == 30


def test_a_blocked_table_is_told_once_and_when_it_is_over(
    world: World, instance: dg.DagsterInstance, inbox: HttpInbox
) -> None:
    world.register("orders")
    assert tick(world, instance) == "no alert fires"
    world.metastore.block("orders", (), "b1", (), "engine", "the disk is on fire")
    assert tick(world, instance) == "1 alerts fire: LakeTableBlocked/orders/1"
    [body] = inbox.bodies
    assert "the disk is on fire" in body["alerts"][0]["text"]
    assert body["alerts"][0]["remedy"] == "lake incidents show 1"
    assert told(inbox) == [f"{BLOCKED} orders fires"]
    tick(world, instance)
    assert told(inbox) == []
    world.metastore.resume("orders", "ann")
    tick(world, instance)
    tick(world, instance, 60_000)
    assert told(inbox) == [f"{BLOCKED} orders is over"]


def evaluation(
    table: str, name: str, passed: bool, severity: dg.AssetCheckSeverity
) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=asset_key("lake", table), check_name=name, passed=passed, severity=severity,
        description="3 lost", metadata={},
    )  # fmt: skip


ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


@pytest.mark.parametrize(
    ("check", "severity", "expected"),
    [
        ("audit", ERROR, True), ("audit", WARN, True), ("primary_key", ERROR, True),
        ("balance", ERROR, True), ("balance", WARN, False),
        # Told by their own conditions.
        ("freshness", ERROR, False), ("retention", ERROR, False), ("schema", ERROR, False),
    ],
)  # fmt: skip
def test_failed_checks(
    world: World,
    instance: dg.DagsterInstance,
    inbox: HttpInbox,
    check: str,
    severity: dg.AssetCheckSeverity,
    expected: bool,
) -> None:
    world.register("orders")
    instance.report_runless_asset_event(evaluation("orders", check, False, severity))
    tick(world, instance)
    assert told(inbox) == ([f"{CHECK_FAILED} orders fires"] if expected else [])
    instance.report_runless_asset_event(evaluation("orders", check, True, ERROR))
    tick(world, instance)
    tick(world, instance, 60_000)
    assert told(inbox) == ([f"{CHECK_FAILED} orders is over"] if expected else [])


def test_a_failed_job_of_maintenance(
    world: World, instance: dg.DagsterInstance, inbox: HttpInbox
) -> None:
    world.register("orders")
    job = definitions(world).resolve_job_def(maintenance_job.name)
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    tick(world, instance)
    assert told(inbox) == []
    instance.report_run_failed(run)
    tick(world, instance)
    assert told(inbox) == [f"{JOB_FAILED}  fires"]
    after = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    tick(world, instance)
    instance.report_dagster_event(
        dg.DagsterEvent("PIPELINE_SUCCESS", after.job_name), run_id=after.run_id
    )
    tick(world, instance)
    tick(world, instance, 60_000)
    assert told(inbox) == [f"{JOB_FAILED}  is over"]


def test_a_dataset_without_assets_yet_is_told_of(
    world: World, instance: dg.DagsterInstance, inbox: HttpInbox
) -> None:
    world.register("orders", max_lag_seconds=60)
    dumped(world, "orders")
    with dg.build_sensor_context(
        instance=instance, resources={"platform": fake_platform(world)}
    ) as context:
        world.now_ms += HOUR_MS
        alerts_sensor(frozenset())(context)
    assert told(inbox) == [f"{LATE} orders fires"]


def test_a_receiver_that_is_down_does_not_end_the_tick(
    world: World, instance: dg.DagsterInstance, inbox: HttpInbox
) -> None:
    world.register("orders", max_lag_seconds=60)
    dumped(world, "orders")
    inbox.status = 500
    said = tick(world, instance, HOUR_MS)
    assert said == "1 alerts fire: LakeTableLate/orders/; not delivered to webhook"
    assert world.metastore.receivers()["webhook"].failing_since == world.now_ms
    inbox.status, inbox.bodies = 200, []
    tick(world, instance)
    assert told(inbox) == [f"{LATE} orders fires"]


def test_the_address_is_a_secret(
    world: World,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    world.register("orders", max_lag_seconds=60)
    dumped(world, "orders")
    with http_inbox(f"/services/{SECRET}") as inbox:
        inbox.status, inbox.answer = 403, "no such hook: {path}"
        monkeypatch.setenv("LAKE_ALERT_SLACK_URL", inbox.url)
        monkeypatch.setenv("LAKE_ALERT_WEBHOOK_TOKEN", f"{SECRET}-token")
        monkeypatch.setenv("LAKE_ALERT_WEBHOOK_URL", f"{inbox.url}?token={SECRET}")
        world.settings = load_settings(world.settings.home)
        said = tick(world, instance, HOUR_MS)
        tick(world, instance, HOUR_MS)  # that it is not delivered is an alert, too
    assert "not delivered to" in said
    states = world.metastore.receivers()
    assert all("HTTP 403 Forbidden: no such hook: ***" in s.error for s in states.values())
    kept = f"{states} {world.metastore.held_alerts()}"
    printed = capfd.readouterr()
    for text in (said, kept, printed.out, printed.err, caplog.text, repr(world.settings)):
        assert SECRET not in text


def test_the_checks_of_the_sensor_are_checks_of_the_assets(world: World) -> None:
    world.register("orders")
    graph = definitions(world).get_repository_def().asset_graph
    assert check_key("orders", "audit") in graph.asset_check_keys
