"""Runs of the two phases: what is materialised, checked, isolated and stopped."""

from typing import Any

import dagster as dg
import pytest
import yaml

from assets.checks import check_key
from assets.jobs import DUMP_JOB, LOAD_JOB
from assets.phases import TRIGGER_TAG
from assets.translator import asset_key
from lake_platform.domain.batches import TableProfile, TableState
from lake_platform.maintain.cleaner import compact_log
from lake_platform.metastore.incident import Outcome
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
    names = ("schema", "balance", "freshness", "retention", "primary_key", "renames")
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


def begun(world: World, table: str) -> None:
    """There is a table that a change can break."""
    world.engine.states[table] = TableState(exists=True, applied=0)


def test_a_breaking_change_fails_its_check_marks_nothing_and_is_not_retried(
    world: World, instance: dg.DagsterInstance
) -> None:
    for table in ("good", "bad"):
        world.register(table)
    begun(world, "bad")
    world.produce("good", {"id": 1})
    world.produce("bad", {"id": {"nested": True}})
    run(world, instance, DUMP_JOB, "good", "bad")
    result = run(world, instance, LOAD_JOB, "good", "bad")

    # The other checks still speak: Dagster shows a planned check without a result as failed.
    others = dict.fromkeys(("balance", "freshness", "primary_key", "retention", "renames"), True)
    assert verdicts(result, "bad") == {"schema": False, **others}
    failed = next(e for e in result.get_asset_check_evaluations() if not e.passed)
    changes: Any = failed.metadata["changes"]
    assert [r.data["column"] for r in changes.records] == ["id"]
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


@pytest.mark.parametrize(("job", "layer"), [(DUMP_JOB, "raw"), (LOAD_JOB, "lake")])
def test_an_empty_window_by_hand_is_marked_as_empty(
    world: World, instance: dg.DagsterInstance, job: str, layer: str
) -> None:
    """Dagster ends a backfill as failed when a window it asked for is not marked."""
    world.register("orders")
    world.produce("orders", {"id": 1})
    run(world, instance, DUMP_JOB, "orders")
    run(world, instance, LOAD_JOB, "orders")
    empty = "2026-11-01-05:00"
    result = run(world, instance, job, "orders", partition_key=empty)
    assert result.success
    assert marked(instance, layer, "orders") == {H0, empty}
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["records"].value == 0


def test_a_raw_window_by_hand_shows_what_the_log_has_of_it(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("orders")
    world.produce("orders", {"id": 1}, {"id": 2})
    run(world, instance, DUMP_JOB, "orders")
    again = run(world, instance, DUMP_JOB, "orders", partition_key=H0)
    (event,) = again.get_asset_materialization_events()
    assert event.materialization.metadata["records"].value == 2


def test_a_long_range_by_hand_reads_the_log_once(
    world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.register("orders")
    for _ in range(5):
        world.produce("orders", {"id": 1})
        run(world, instance, DUMP_JOB, "orders")
    run(world, instance, LOAD_JOB, "orders")
    store, read = type(world.ports.store), list[str]()
    get = store.get

    def counting(self: Any, key: str) -> bytes:
        read.append(key)
        return get(self, key)

    monkeypatch.setattr(store, "get", counting)
    tags = {
        "dagster/asset_partition_range_start": H0,
        "dagster/asset_partition_range_end": "2026-11-03-00:00",
    }
    assert run(world, instance, LOAD_JOB, "orders", tags=tags).success
    assert len([key for key in read if "/phase1/" in key]) <= 2 * 5


def test_raw_that_retention_removed_is_no_damage(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("orders")
    for number in range(2):
        world.produce("orders", {"id": number})
        run(world, instance, DUMP_JOB, "orders")
        run(world, instance, LOAD_JOB, "orders")
    world.now_ms += 8 * 24 * HOUR_MS
    assert compact_log("orders", world.ports, 1, raw_retention_days=7).raw_removed == 1
    result = run(world, instance, LOAD_JOB, "orders", partition_key=H0)
    assert result.success
    (event,) = result.get_asset_materialization_events()
    assert "raw retention removed 1 raw objects" in str(event.materialization.metadata["verified"])


def test_a_long_replay_by_hand_is_not_cut_off_by_the_budget(
    world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.register("orders")
    for hour in range(4):
        world.now_ms = START_MS + hour * HOUR_MS
        world.produce("orders", {"id": hour})
        run(world, instance, DUMP_JOB, "orders")
        run(world, instance, LOAD_JOB, "orders")
        world.settings = world.settings.model_copy(update={"batch_bytes": 1})
    writes, write = world.engine.writes["orders"], world.engine.write

    def slow(job: Any) -> Any:
        world.now_ms += 400_000
        return write(job)

    monkeypatch.setattr(world.engine, "write", slow)
    window = {"table": "orders", "first_window": H0, "last_window": "2026-11-01-03:00"}
    result = replay(world, instance, **window)
    assert result.success
    assert world.engine.writes["orders"] == writes + 4
    assert len(result.get_asset_materialization_events()) == 4


def replay(world: World, instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    return (
        definitions(world)
        .resolve_job_def("replay")
        .execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config={"ops": {"replay_windows": {"config": config}}},
        )
    )


@pytest.mark.parametrize(
    ("table", "first", "last", "said"),
    [
        ("nope", H0, H0, "not registered"),
        ("orders", "yesterday", H0, "is no window; give full hours in UTC"),
        ("orders", H1, H0, "give the earlier hour first"),
        (
            "orders",
            H1,
            "2026-11-02-00:00",
            f"nothing of these hours was applied to orders; there is {H0}",
        ),
    ],
)
def test_a_replay_that_cannot_be_says_why(
    world: World, instance: dg.DagsterInstance, table: str, first: str, last: str, said: str
) -> None:
    world.register("orders")
    world.produce("orders", {"id": 1})
    run(world, instance, DUMP_JOB, "orders")
    run(world, instance, LOAD_JOB, "orders")
    result = replay(world, instance, table=table, first_window=first, last_window=last)
    assert not result.success
    (failure,) = [e.step_failure_data for e in result.all_events if e.is_step_failure]
    assert said in str(failure.error)


def test_a_run_config_that_puts_replay_at_the_root_is_refused(
    world: World, instance: dg.DagsterInstance
) -> None:
    """By Dagster, before any code of ours; the window's own text says where it belongs."""
    world.register("orders")
    world.produce("orders", {"id": 1})
    run(world, instance, DUMP_JOB, "orders")
    run(world, instance, LOAD_JOB, "orders")
    with pytest.raises(dg.DagsterInvalidConfigError, match='entry "replay" at the root'):
        run(world, instance, LOAD_JOB, "orders", partition_key=H0, run_config={"replay": True})
    verified = run(world, instance, LOAD_JOB, "orders", partition_key=H0)
    (event,) = verified.get_asset_materialization_events()
    text = str(event.materialization.metadata["verified"].value)
    said = text.partition("run config ")[2]
    assert run(
        world, instance, LOAD_JOB, "orders", partition_key=H0, run_config=yaml.safe_load(said)
    ).success
    assert world.engine.writes["orders"] == 2


def settled(instance: dg.DagsterInstance, table: str) -> dict[str, str]:
    """What the UI shows of each check: SUCCEEDED, FAILED, or PLANNED, which it shows as failed
    to execute once the run is over."""
    names = ("schema", "balance", "freshness", "primary_key")
    keys = {check_key(table, name): name for name in names}
    held = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))
    return {keys[key]: record.status.value for key, record in held.items()}


ALL_GOOD = dict.fromkeys(("schema", "balance", "freshness", "primary_key"), "SUCCEEDED")


def test_every_check_speaks_when_there_is_nothing_to_load(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("orders", source=None)
    assert run(world, instance, LOAD_JOB, "orders", partition_key=H0).success
    assert settled(instance, "orders") == ALL_GOOD
    world.produce("orders", {"id": 1})
    run(world, instance, DUMP_JOB, "orders")
    run(world, instance, LOAD_JOB, "orders")
    assert run(world, instance, LOAD_JOB, "orders", partition_key=H0).success
    assert settled(instance, "orders") == ALL_GOOD


def test_a_blocked_table_by_hand_shows_the_difference_again(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("bad")
    begun(world, "bad")
    world.produce("bad", {"id": {"nested": True}})
    run(world, instance, DUMP_JOB, "bad")
    run(world, instance, LOAD_JOB, "bad")
    again = run(world, instance, LOAD_JOB, "bad", partition_key=H0)
    assert not again.success
    assert settled(instance, "bad") == {**ALL_GOOD, "schema": "FAILED"}
    failed = next(e for e in again.get_asset_check_evaluations() if not e.passed)
    assert "lake incidents show 1" in str(failed.description)

    world.metastore.settle(1, Outcome("the producer is mended"), "test")
    assert check(world, instance, "bad", "schema") == [True]


def resolving(world: World, instance: dg.DagsterInstance, **config: Any) -> Any:
    job = definitions(world).resolve_job_def("resolve_incident")
    return job.execute_in_process(
        instance=instance,
        run_config={"ops": {"resolve_changes": {"config": config}}},
        raise_on_error=False,
    )


def test_a_break_is_resolved_by_a_job(world: World, instance: dg.DagsterInstance) -> None:
    world.register("bad")
    begun(world, "bad")
    world.produce("bad", {"id": {"nested": True}})
    run(world, instance, DUMP_JOB, "bad")
    run(world, instance, LOAD_JOB, "bad")
    looked = resolving(world, instance, incident=1, resolution="reject", dry_run=True)
    (step,) = [e for e in looked.all_events if e.is_step_success]
    output = looked.events_for_node("resolve_changes")
    would = next(e for e in output if e.is_successful_output).step_output_data.metadata["would"]
    assert (step is not None, would.value["dropped"], would.value["rows"]) == (True, 1, 0)
    refused = resolving(world, instance, incident=1, resolution="shrug")
    assert not refused.success
    assert world.metastore.incident(1).status == "OPEN"
    done = resolving(world, instance, incident=1, resolution="reject")
    assert done.success
    closed = world.metastore.incident(1)
    assert (closed.resolution, closed.resolved_by) == ("reject", f"dagster run {done.run_id}")
    assert run(world, instance, LOAD_JOB, "bad").success
    world.produce("bad", {"id": {"nested": True}})
    run(world, instance, DUMP_JOB, "bad")
    run(world, instance, LOAD_JOB, "bad")
    assert resolving(world, instance, incident=2, resolution="reject", asked_by="ann").success
    assert world.metastore.incident(2).resolved_by == "ann"


def check(world: World, instance: dg.DagsterInstance, table: str, name: str) -> list[bool]:
    """One check run by hand, alone."""
    result = dg.materialize(
        definitions(world).resolve_asset_graph().assets_defs,
        selection=dg.AssetSelection.checks(check_key(table, name)),
        instance=instance,
        raise_on_error=False,
    )
    return [e.passed for e in result.get_asset_check_evaluations()]


@pytest.mark.parametrize("name", ALL_GOOD)
def test_each_check_can_run_alone(world: World, instance: dg.DagsterInstance, name: str) -> None:
    world.register("orders")
    assert check(world, instance, "orders", name) == [True]
    world.produce("orders", {"id": 1})
    run(world, instance, DUMP_JOB, "orders")
    run(world, instance, LOAD_JOB, "orders")
    assert check(world, instance, "orders", name) == [True]


def test_a_failed_load_still_says_how_fresh_the_table_is(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("orders")
    world.produce("orders", {"id": 1})
    run(world, instance, DUMP_JOB, "orders")
    run(world, instance, LOAD_JOB, "orders")
    world.engine.failing.add("orders")
    world.now_ms += HOUR_MS
    world.produce("orders", {"id": 2})
    run(world, instance, DUMP_JOB, "orders")
    result = run(world, instance, LOAD_JOB, "orders")
    others = {"balance": True, "retention": True}
    assert verdicts(result, "orders") == {"freshness": False, **others}


def test_bad_records_of_an_hour_that_has_not_come_mark_no_window(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("orders", max_quarantine_ratio=1.0)
    world.produce("orders", b"{not json", at_ms=START_MS + HOUR_MS)
    run(world, instance, DUMP_JOB, "orders")
    run(world, instance, LOAD_JOB, "orders")
    assert marked(instance, "quarantine", "orders") == set()


def test_the_cleaner_goes_on_behind_a_dataset_it_cannot_clean(
    world: World, instance: dg.DagsterInstance
) -> None:
    from sqlalchemy import text

    for table in ("bad_log", "good", "odd"):
        world.register(table)
        world.produce(table, {"id": 1})
        run(world, instance, DUMP_JOB, table)
    (key,) = [i.key for i in world.ports.store.list("checkpoints/bad_log/phase1/")]
    world.ports.store.put(key, b"{")
    with world.metastore._engine.begin() as connection:
        connection.execute(
            text("UPDATE datasets SET definition = :broken WHERE table_name = 'odd'"),
            {"broken": '{"mode": 1}'},
        )
    result = (
        definitions(world)
        .resolve_job_def("maintenance")
        .execute_in_process(instance=instance, raise_on_error=False)
    )
    (failure,) = [e.step_failure_data for e in result.all_events if e.is_step_failure]
    assert "bad_log:" in str(failure.error)
    assert "odd:" in str(failure.error)


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
    events = result.get_asset_materialization_events()
    records = {e.partition: e.materialization.metadata["records"].value for e in events}
    assert records == {H0: 1, H1: 1, H2: 0}


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


def test_loads_that_fail_alike_end_as_a_stop_that_shows(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("a")
    world.produce("a", {"id": 1})
    run(world, instance, DUMP_JOB, "a")
    world.engine.failing.add("a")
    for _ in range(3):
        assert not run(world, instance, LOAD_JOB, "a").success
    assert world.metastore.get("a").status == "BLOCKED"
    last = run(world, instance, LOAD_JOB, "a", partition_key=H0)
    assert not last.success
    told = {e.check_name: e for e in last.get_asset_check_evaluations()}
    assert not told["freshness"].passed
    assert "the engine is made to fail" in str(told["freshness"].description)
    assert "lake datasets resume a" in str(told["freshness"].description)

    world.engine.failing.clear()
    world.metastore.resume("a", "ann")
    good = run(world, instance, LOAD_JOB, "a")
    assert good.success
    assert verdicts(good, "a")["freshness"]


def test_a_dataset_of_bad_records_alone_is_not_green(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("a")
    world.produce("a", *[b"\x00\x00\x00\x00\x07{}"] * 3)
    run(world, instance, DUMP_JOB, "a")
    loaded = run(world, instance, LOAD_JOB, "a")
    assert verdicts(loaded, "a")["balance"] is False
    assert world.metastore.get("a").status == "BOOTSTRAPPING"
