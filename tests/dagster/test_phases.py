"""Runs of the two phases: what is materialised, checked, isolated and stopped."""

from typing import Any

import dagster as dg
import pytest

from assets.checks import check_key
from assets.jobs import DUMP_JOB, LOAD_JOB
from assets.phases import TRIGGER_TAG
from assets.translator import asset_key
from lake_platform.domain.batches import TableProfile
from tests.dagster.fakes import HOUR_MS, START_MS, World, definitions

H0, H1, H2 = "2026-11-01-00:00", "2026-11-01-01:00", "2026-11-01-02:00"


def run(
    world: World, instance: dg.DagsterInstance, job: str, *tables: str, **options: Any
) -> dg.ExecuteInProcessResult:
    layer: Any = "raw" if job == DUMP_JOB else "lake"
    if job == LOAD_JOB and "tags" not in options and "partition_key" not in options:
        options["partition_key"] = H0
        options["tags"] = {TRIGGER_TAG: "sensor"}
    return (
        definitions(world)
        .resolve_job_def(job)
        .execute_in_process(
            instance=instance,
            asset_selection=[asset_key(layer, t) for t in tables],
            raise_on_error=False,
            **options,
        )
    )


def marked(instance: dg.DagsterInstance, layer: Any, table: str) -> set[str]:
    return set(instance.get_materialized_partitions(asset_key(layer, table)))


def verdicts(result: dg.ExecuteInProcessResult, table: str) -> dict[str, bool]:
    return {
        e.check_name: e.passed
        for e in result.get_asset_check_evaluations()
        if e.asset_key == asset_key("lake", table)
    }


def test_dump_and_load_mark_exactly_the_touched_windows(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("orders")
    world.now_ms = START_MS + 3 * HOUR_MS
    world.produce("orders", {"id": 1}, {"id": 2}, at_ms=START_MS)
    world.produce("orders", {"id": 3}, at_ms=START_MS + 2 * HOUR_MS)

    dumped = run(world, instance, DUMP_JOB, "orders")
    assert dumped.success
    assert marked(instance, "raw", "orders") == {H0, H2}
    assert world.metastore.progress("orders").reported_seq == 1

    loaded = run(world, instance, LOAD_JOB, "orders")
    assert loaded.success
    assert marked(instance, "lake", "orders") == {H0, H2}
    events = {e.partition: e for e in loaded.get_asset_materialization_events()}
    event = events[H0].materialization
    assert event.metadata["records"].value == 2
    assert event.metadata["batch_written"].value == 3
    names = ("schema", "balance", "freshness", "retention", "primary_key")
    assert verdicts(loaded, "orders") == dict.fromkeys(names, True)


def test_a_failing_dataset_leaves_the_others_of_its_run_alone(
    world: World, instance: dg.DagsterInstance
) -> None:
    for table in ("a", "b", "c"):
        world.register(table)
        world.produce(table, {"id": 1})
    world.engine.failing.add("b")
    run(world, instance, DUMP_JOB, "a", "b", "c")
    result = run(world, instance, LOAD_JOB, "a", "b", "c")
    assert not result.success
    assert {t for t in "abc" if marked(instance, "lake", t)} == {"a", "c"}
    assert {t for t in "abc" if world.metastore.progress(t).applied_seq} == {"a", "c"}


def test_a_breaking_change_fails_its_check_marks_nothing_and_is_not_retried(
    world: World, instance: dg.DagsterInstance
) -> None:
    for table in ("good", "bad"):
        world.register(table)
    world.produce("good", {"id": 1})
    world.produce("bad", {"id": {"nested": True}})
    run(world, instance, DUMP_JOB, "good", "bad")
    result = run(world, instance, LOAD_JOB, "good", "bad")

    # The other checks still speak: Dagster shows a planned check without a result as failed.
    assert verdicts(result, "bad") == {
        "schema": False, "balance": True, "freshness": True, "retention": True,
    }  # fmt: skip
    failed = next(e for e in result.get_asset_check_evaluations() if not e.passed)
    changes: Any = failed.metadata["changes"]
    assert [r.data["path"] for r in changes.records] == ["id"]
    assert marked(instance, "lake", "bad") == set()
    assert marked(instance, "lake", "good") == {H0}
    assert not [e for e in result.all_events if e.is_step_up_for_retry]
    assert world.metastore.get("bad").status == "BLOCKED"


def test_a_hand_materialised_window_is_verified_and_can_be_replayed(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("orders")
    world.produce("orders", {"id": 1}, {"id": 2})
    run(world, instance, DUMP_JOB, "orders")
    run(world, instance, LOAD_JOB, "orders")
    writes = world.engine.writes["orders"]

    again = run(world, instance, LOAD_JOB, "orders", partition_key=H0)
    assert again.success
    assert world.engine.writes["orders"] == writes
    (event,) = again.get_asset_materialization_events()
    assert "verified" in event.materialization.metadata

    config = {"ops": {"lake__orders": {"config": {"replay": True}}}}
    replayed = run(world, instance, LOAD_JOB, "orders", partition_key=H0, run_config=config)
    assert replayed.success
    assert world.engine.writes["orders"] == writes + 1
    (event,) = replayed.get_asset_materialization_events()
    assert event.materialization.metadata["replay"].value is True


def test_a_changed_raw_object_fails_the_hand_materialised_window(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("orders")
    world.produce("orders", {"id": 1})
    run(world, instance, DUMP_JOB, "orders")
    run(world, instance, LOAD_JOB, "orders")
    (key,) = [i.key for i in world.ports.store.list("raw/")]
    world.ports.store.put(key, b"not what was written")
    again = run(world, instance, LOAD_JOB, "orders", partition_key=H0)
    assert not again.success


def test_an_empty_window_by_hand_is_not_marked(world: World, instance: dg.DagsterInstance) -> None:
    world.register("orders")
    world.produce("orders", {"id": 1})
    run(world, instance, DUMP_JOB, "orders")
    run(world, instance, LOAD_JOB, "orders", partition_key="2026-10-31-00:00")
    assert marked(instance, "lake", "orders") == {H0}


def test_bad_records_show_on_the_quarantine_asset(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("orders")
    world.produce("orders", {"id": 1}, b"{not json", {"id": 2})
    run(world, instance, DUMP_JOB, "orders")
    run(world, instance, LOAD_JOB, "orders")
    assert marked(instance, "quarantine", "orders") == {H0}
    (event,) = instance.fetch_materializations(asset_key("quarantine", "orders"), 10).records
    assert event.asset_materialization is not None
    table: Any = event.asset_materialization.metadata["batch_records_by_reason"]
    assert [r.data["records"] for r in table.records] == [1]


def test_a_range_materialised_by_hand_is_one_step(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("orders")
    world.now_ms = START_MS + 3 * HOUR_MS
    world.produce("orders", {"id": 1}, at_ms=START_MS)
    world.produce("orders", {"id": 2}, at_ms=START_MS + HOUR_MS)
    run(world, instance, DUMP_JOB, "orders")
    tags = {
        "dagster/asset_partition_range_start": H0,
        "dagster/asset_partition_range_end": H2,
    }
    result = run(world, instance, LOAD_JOB, "orders", tags=tags)
    assert result.success
    assert marked(instance, "lake", "orders") == {H0, H1}


@pytest.mark.parametrize("status", ["PAUSED", "RETIRED"])
def test_a_dataset_that_must_not_run_says_so_and_is_not_retried(
    world: World, instance: dg.DagsterInstance, status: str
) -> None:
    world.register("orders")
    world.produce("orders", {"id": 1})
    job = definitions(world).resolve_job_def(DUMP_JOB)
    (world.metastore.pause if status == "PAUSED" else world.metastore.retire)("orders", "test")
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    assert not [e for e in result.all_events if e.is_step_up_for_retry]
    assert marked(instance, "raw", "orders") == set()


@pytest.mark.parametrize(("by_hand", "tries"), [(True, 3), (False, 1)])
def test_only_what_a_person_started_is_tried_again_in_its_run(
    world: World, instance: dg.DagsterInstance, by_hand: bool, tries: int
) -> None:
    world.register("orders")
    world.produce("orders", {"id": 1})
    run(world, instance, DUMP_JOB, "orders")
    world.engine.failing.add("orders")
    options = {"partition_key": H0} if by_hand else {}
    result = run(world, instance, LOAD_JOB, "orders", **options)
    starts = [e for e in result.all_events if e.is_step_start or e.is_step_restarted]
    assert len(starts) == tries


def test_the_checks_can_run_without_a_load(world: World, instance: dg.DagsterInstance) -> None:
    world.register("orders")
    world.produce("orders", {"id": 1})
    run(world, instance, DUMP_JOB, "orders")
    run(world, instance, LOAD_JOB, "orders")
    world.engine.profiles["orders"] = TableProfile(rows=3, keys=2, null_keys=1)
    world.produce("orders", {"id": 2})
    run(world, instance, DUMP_JOB, "orders")
    result = dg.materialize(
        definitions(world).resolve_asset_graph().assets_defs,
        selection=dg.AssetSelection.checks(check_key("orders", "primary_key")),
        instance=instance,
        raise_on_error=False,
    )
    (verdict,) = result.get_asset_check_evaluations()
    assert (verdict.check_name, verdict.passed) == ("primary_key", False)
    assert verdict.metadata["distinct_keys"].value == 2
    assert world.metastore.progress("orders").applied_seq == 1
