"""The sensors: who is due, what is asked for, and that a failure is asked for again in time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import dagster as dg
import pytest

from assets.checks import check_key
from assets.factory import Built
from assets.health import HEALTH
from assets.jobs import DUMP_JOB
from assets.translator import asset_key
from lake_platform.compose import clock
from lake_platform.domain.batches import Worker
from lake_platform.domain.bundle import Limits
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.progress import DatasetRecord, Progress
from lake_platform.dump.dump import dump
from lake_platform.load.load import load
from resources.platform import WORKER_TAG, worker_tag
from sensors.due import Memory, dump_due, load_due
from sensors.live import busy_tables, end_dead_runs
from sensors.phases import ingest_sensor, load_sensor
from sensors.watchdog import watchdog_sensor
from tests.dagster.fakes import HOUR_MS, SOURCE, START_MS, World, definitions, fake_platform
from tests.dagster.test_translator import record

MINUTE_MS = 60_000
CAUGHT_UP = Progress(complete_as_of=START_MS, dumped_at=START_MS)


def dumped(world: World, table: str) -> None:
    for _ in dump(table, world.ports, Limits()):
        pass


def loaded(world: World, table: str) -> None:
    for _ in load(table, world.ports, Limits()):
        pass


class Ticks:
    """Evaluates one sensor again and again, with its cursor."""

    def __init__(
        self, world: World, instance: dg.DagsterInstance, sensor: dg.SensorDefinition
    ) -> None:
        self._world, self._instance, self._sensor = world, instance, sensor
        self._cursor: str | None = None
        self._defs = definitions(world)

    def tick(self) -> dg.SensorResult:
        with dg.build_sensor_context(
            instance=self._instance,
            cursor=self._cursor,
            definitions=self._defs,
            resources={"platform": fake_platform(self._world)},
        ) as context:
            result = self._sensor(context)
        assert isinstance(result, dg.SensorResult)
        self._cursor = result.cursor
        return result

    def asked(self) -> set[str]:
        """Tables of the one run request of a tick; empty when there is none."""
        requests = self.tick().run_requests or []
        assert len(requests) <= 1
        return {k.path[1] for r in requests for k in r.asset_selection or ()}


@contextmanager
def open_run(
    world: World, instance: dg.DagsterInstance, table: str, **tags: str
) -> Iterator[dg.DagsterRun]:
    job = definitions(world).resolve_job_def(DUMP_JOB)
    run = instance.create_run_for_job(
        job.get_subset(asset_selection={asset_key("raw", table)}),
        asset_selection=frozenset({asset_key("raw", table)}),
        status=dg.DagsterRunStatus.STARTED,
        tags=tags,
    )
    yield run


@pytest.mark.parametrize(
    ("status", "progress", "after_ms", "due"),
    [
        (Status.REGISTERED, Progress(), 0, True),
        (Status.BOOTSTRAPPING, replace(CAUGHT_UP, backlog=5), 0, True),
        (Status.BOOTSTRAPPING, CAUGHT_UP, MINUTE_MS, False),
        (Status.LIVE, CAUGHT_UP, 4 * MINUTE_MS, False),
        (Status.LIVE, CAUGHT_UP, 5 * MINUTE_MS, True),
        (Status.BLOCKED, CAUGHT_UP, 5 * MINUTE_MS, True),
        (Status.PAUSED, CAUGHT_UP, HOUR_MS, False),
        (Status.RETIRED, Progress(), HOUR_MS, False),
    ],
)
def test_when_a_dump_is_due(status: Status, progress: Progress, after_ms: int, due: bool) -> None:
    held: DatasetRecord = replace(record("t", schedule="*/5 * * * *"), status=status)
    assert dump_due(held, progress, START_MS + after_ms) is due


@pytest.mark.parametrize(
    ("status", "due"),
    [("LIVE", True), ("BOOTSTRAPPING", True), ("BLOCKED", False), ("PAUSED", False)],
)
def test_when_a_load_is_due(status: str, due: bool) -> None:
    held = replace(record("t"), status=Status(status))
    assert load_due(held, Progress(head_seq=2, applied_seq=1)) is due
    assert not load_due(held, Progress(head_seq=2, applied_seq=2))


def test_all_due_datasets_are_dumped_in_one_run(world: World, instance: dg.DagsterInstance) -> None:
    for table in ("a", "b", "paused"):
        world.register(table)
    world.metastore.pause("paused", "test")
    ticks = Ticks(world, instance, ingest_sensor({"a", "b", "paused"}))
    assert ticks.asked() == {"a", "b"}


def test_a_reader_of_raw_is_loaded_when_that_grew_and_never_dumped(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("a")
    world.metastore.register(
        Dataset(topic="topic.a", table="b", format="parquet", raw_from="a"), SOURCE, "test"
    )
    dumps = Ticks(world, instance, ingest_sensor({"a", "b"}))
    loads = Ticks(world, instance, load_sensor({"a", "b"}))
    assert dumps.asked() == {"a"}
    assert loads.asked() == set()
    world.produce("a", {"id": 1})
    list(dump("a", world.ports, Limits()))
    result = loads.tick()
    [request] = result.run_requests or []
    assert {k.path[1] for k in request.asset_selection or ()} == {"a", "b"}
    assert {e.asset_key for e in result.asset_events} == {asset_key("raw", "a")}
    graph = definitions(world).get_repository_def().asset_graph
    assert not graph.has(asset_key("raw", "b"))
    assert graph.get(asset_key("lake", "b")).parent_keys == {asset_key("raw", "a")}


def test_a_dataset_without_assets_waits_for_the_reload(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("old")
    ticks = Ticks(world, instance, ingest_sensor({"old"}))
    world.register("new")
    assert ticks.asked() == {"old"}


def test_a_dataset_in_a_live_run_is_not_asked_for_again(
    world: World, instance: dg.DagsterInstance
) -> None:
    for table in ("a", "b"):
        world.register(table)
    with open_run(world, instance, "a"):
        ticks = Ticks(world, instance, ingest_sensor({"a", "b"}))
        assert ticks.asked() == {"b"}


def test_a_request_that_changed_nothing_is_repeated_ever_more_slowly(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("a")
    ticks = Ticks(world, instance, ingest_sensor({"a"}))
    moments = []
    for _ in range(200):
        if ticks.asked():
            moments.append((world.now_ms - START_MS) // 1000)
        world.now_ms += 5_000
    assert moments[:5] == [0, 10, 30, 70, 150]


def test_progress_resets_the_pause(world: World, instance: dg.DagsterInstance) -> None:
    world.register("a")
    ticks = Ticks(world, instance, ingest_sensor({"a"}))
    assert ticks.asked() == {"a"}
    world.now_ms += 1_000
    assert ticks.asked() == set()
    world.metastore.update_progress("a", dumped_at=world.now_ms, backlog=7)
    assert ticks.asked() == {"a"}


def test_waiting_raw_commits_are_loaded_until_they_are(
    world: World, instance: dg.DagsterInstance
) -> None:
    for table in ("a", "b", "idle"):
        world.register(table)
        if table != "idle":
            world.produce(table, {"id": 1})
        dumped(world, table)
    ticks = Ticks(world, instance, load_sensor({"a", "b", "idle"}))
    (request,) = ticks.tick().run_requests or []
    assert {k.path[1] for k in request.asset_selection or ()} == {"a", "b"}
    assert request.partition_key == "2026-11-01-00:00"
    assert check_key("a", "primary_key") in (request.asset_check_keys or ())
    loaded(world, "a")
    world.now_ms += MINUTE_MS
    assert ticks.asked() == {"b"}
    loaded(world, "b")
    world.now_ms += MINUTE_MS
    assert ticks.asked() == set()


def test_a_blocked_dataset_is_dumped_but_not_loaded(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("a")
    world.produce("a", {"id": 1})
    dumped(world, "a")
    world.metastore.block("a", [], "b1", [])
    world.now_ms += HOUR_MS
    assert Ticks(world, instance, load_sensor({"a"})).asked() == set()
    assert Ticks(world, instance, ingest_sensor({"a"})).asked() == {"a"}


def test_windows_written_outside_a_run_are_reported_once_each(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("a")
    world.now_ms = START_MS + HOUR_MS
    world.produce("a", {"id": 1}, at_ms=START_MS)
    world.produce("a", {"id": 2}, at_ms=START_MS)
    dumped(world, "a")
    world.produce("a", {"id": 3})
    dumped(world, "a")
    ticks = Ticks(world, instance, load_sensor({"a"}))
    events = ticks.tick().asset_events
    found = [(e.asset_key.path, e.partition) for e in events]
    assert found == [
        (["raw", "a"], "2026-11-01-00:00"),
        (["raw", "a"], "2026-11-01-01:00"),
    ]
    # Not before the cursor of the tick that reported them is known to be stored.
    assert world.metastore.progress("a").reported_seq == 0
    assert not ticks.tick().asset_events
    assert world.metastore.progress("a").reported_seq == 2


def test_a_window_applied_by_a_run_that_died_is_marked(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("a")
    world.produce("a", {"id": 1})
    dumped(world, "a")
    loaded(world, "a")  # as a run that was killed before its event
    ticks = Ticks(world, instance, load_sensor({"a"}))
    events = [e for e in ticks.tick().asset_events if e.asset_key == asset_key("lake", "a")]
    assert [getattr(e, "partition", None) for e in events] == ["2026-11-01-00:00"]
    assert not ticks.tick().asset_events


def test_a_window_a_run_reported_is_not_marked_again(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("a")
    world.produce("a", {"id": 1})
    dumped(world, "a")
    world.metastore.update_progress("a", reported_seq=1)
    loaded(world, "a")
    instance.report_runless_asset_event(
        dg.AssetMaterialization(asset_key("lake", "a"), partition="2026-11-01-00:00")
    )
    assert not Ticks(world, instance, load_sensor({"a"})).tick().asset_events


def test_a_tick_that_was_lost_is_reported_again(world: World, instance: dg.DagsterInstance) -> None:
    world.register("a")
    world.produce("a", {"id": 1})
    dumped(world, "a")
    assert Ticks(world, instance, load_sensor({"a"})).tick().asset_events
    assert Ticks(world, instance, load_sensor({"a"})).tick().asset_events


def test_a_window_dagster_does_not_have_is_not_reported(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("a")
    world.produce("a", {"id": 1}, at_ms=START_MS + HOUR_MS)  # a clock that is fast
    dumped(world, "a")
    (request,) = (result := Ticks(world, instance, load_sensor({"a"})).tick()).run_requests or []
    assert not result.asset_events
    assert request.partition_key == "2026-11-01-00:00"


def test_a_run_whose_worker_is_gone_is_ended(world: World, instance: dg.DagsterInstance) -> None:
    world.register("a")
    me = world.ports.workers.me()
    gone = Worker(me.host, 2**22 - 1, 1.0)
    with (
        open_run(world, instance, "a") as run,
        open_run(world, instance, "a") as other,
        open_run(world, instance, "a", **{WORKER_TAG: worker_tag(run.run_id, gone)}) as retry,
    ):
        tag = worker_tag(run.run_id, gone)
        instance.add_run_tags(run.run_id, {WORKER_TAG: tag})
        elsewhere = worker_tag(other.run_id, replace(gone, host="other-host"))
        instance.add_run_tags(other.run_id, {WORKER_TAG: elsewhere})
        assert busy_tables(instance, "raw", world.now_ms) == {"a"}
        assert end_dead_runs(instance, world.ports.workers, world.now_ms) == [run.run_id]
        statuses = {r.run_id: r.status for r in instance.get_runs()}
    assert statuses == {
        run.run_id: dg.DagsterRunStatus.FAILURE,
        other.run_id: dg.DagsterRunStatus.STARTED,
        retry.run_id: dg.DagsterRunStatus.STARTED,  # it only inherited the dead worker's tag
    }


def test_a_run_whose_worker_died_before_it_began_is_ended(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("a")
    with open_run(world, instance, "a") as run:
        instance.report_dagster_event(
            dg.DagsterEvent("PIPELINE_START", run.job_name), run_id=run.run_id
        )
    now = clock()
    assert end_dead_runs(instance, world.ports.workers, now + MINUTE_MS) == []
    assert end_dead_runs(instance, world.ports.workers, now + 11 * MINUTE_MS) == [run.run_id]


def test_a_run_about_to_be_retried_keeps_its_datasets_busy(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("a")
    with open_run(world, instance, "a", **{"dagster/will_retry": "true"}) as run:
        instance.report_run_failed(run)
    now = clock()
    assert busy_tables(instance, "raw", now) == {"a"}
    assert busy_tables(instance, "raw", now + 5 * MINUTE_MS) == set()
    instance.add_run_tags(run.run_id, {"dagster/auto_retry_run_id": "r2"})
    assert busy_tables(instance, "raw", now) == set()


def test_the_watchdog_fails_freshness_when_it_turns_and_passes_it_again(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("a", max_lag_seconds=60)
    dumped(world, "a")
    ticks = Ticks(world, instance, watchdog_sensor(Built(tables=["a"])))
    assert not ticks.tick().asset_events
    world.now_ms += 90_000
    (event,) = ticks.tick().asset_events
    assert isinstance(event, dg.AssetCheckEvaluation)
    assert (event.passed, event.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert not ticks.tick().asset_events
    world.now_ms += HOUR_MS
    (event,) = ticks.tick().asset_events
    assert isinstance(event, dg.AssetCheckEvaluation)
    assert event.severity == dg.AssetCheckSeverity.ERROR
    dumped(world, "a")
    (event,) = ticks.tick().asset_events
    assert isinstance(event, dg.AssetCheckEvaluation)
    assert event.passed


def test_the_watchdog_warns_before_kafka_drops_unread_records_of_a_paused_table_too(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("a", max_lag_seconds=60)
    world.kafka.set_retention("topic.a", ms=HOUR_MS)
    world.produce("a", {"id": 1})
    dumped(world, "a")
    world.metastore.set_status("a", Status.PAUSED)
    ticks = Ticks(world, instance, watchdog_sensor(Built(tables=["a"])))
    world.now_ms += 47 * MINUTE_MS
    assert not ticks.tick().asset_events
    world.now_ms += 2 * MINUTE_MS
    (event,) = ticks.tick().asset_events
    assert isinstance(event, dg.AssetCheckEvaluation)
    assert (event.check_name, event.passed) == ("retention", False)
    assert event.severity == dg.AssetCheckSeverity.WARN
    assert not ticks.tick().asset_events
    world.now_ms += HOUR_MS
    (event,) = ticks.tick().asset_events
    assert isinstance(event, dg.AssetCheckEvaluation)
    assert event.severity == dg.AssetCheckSeverity.ERROR


def stored(instance: dg.DagsterInstance, result: dg.SensorResult) -> list[str]:
    """Stores the events of a tick as the daemon does; returns the checks that passed or failed."""
    for event in result.asset_events:
        instance.report_runless_asset_event(event)
    return [
        f"{e.check_name}:{e.passed}"
        for e in result.asset_events
        if isinstance(e, dg.AssetCheckEvaluation)
    ]


def test_a_freshness_check_a_run_left_failed_passes_once_the_table_is_fresh(
    world: World, instance: dg.DagsterInstance
) -> None:
    """A bootstrap is late while it loads; with nothing new afterwards no load judges it again."""
    world.register("a")
    dumped(world, "a")
    late = dg.AssetCheckEvaluation(
        asset_key=asset_key("lake", "a"), check_name="freshness", passed=False, metadata={}
    )
    instance.report_runless_asset_event(late)
    ticks = Ticks(world, instance, watchdog_sensor(Built(tables=["a"])))
    assert stored(instance, ticks.tick()) == ["freshness:True"]
    assert stored(instance, ticks.tick()) == []


@pytest.mark.parametrize("phase", ["dump", "load"])
def test_a_table_whose_phase_fails_is_red_at_the_next_look_and_green_at_the_one_after_its_success(
    world: World, instance: dg.DagsterInstance, phase: str
) -> None:
    world.register("a")
    dumped(world, "a")
    sensor = watchdog_sensor(Built(tables=["a"]))
    assert sensor.minimum_interval_seconds == 30
    ticks = Ticks(world, instance, sensor)
    assert stored(instance, ticks.tick()) == []
    world.metastore.update_progress("a", **{f"{phase}_error": "disk is full"})
    world.now_ms += 30_000
    assert stored(instance, ticks.tick()) == ["freshness:False"]
    world.now_ms += 30_000
    assert stored(instance, ticks.tick()) == []
    world.metastore.update_progress("a", **{f"{phase}_error": ""})
    assert stored(instance, ticks.tick()) == ["freshness:True"]


def test_what_a_run_passed_within_the_hour_is_red_again_at_once(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("a", max_lag_seconds=60)
    dumped(world, "a")
    ticks = Ticks(world, instance, watchdog_sensor(Built(tables=["a"])))
    world.now_ms += 90_000
    assert stored(instance, ticks.tick()) == ["freshness:False"]
    dumped(world, "a")
    instance.report_runless_asset_event(  # as a load does
        dg.AssetCheckEvaluation(
            asset_key=asset_key("lake", "a"), check_name="freshness", passed=True, metadata={}
        )
    )
    world.now_ms += 90_000
    assert stored(instance, ticks.tick()) == ["freshness:False"]
    assert stored(instance, ticks.tick()) == []


def test_a_table_paused_while_late_is_judged_again_when_it_is_resumed(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("a", max_lag_seconds=60)
    dumped(world, "a")
    world.now_ms += 90_000
    ticks = Ticks(world, instance, watchdog_sensor(Built(tables=["a"])))
    assert stored(instance, ticks.tick()) == ["freshness:False"]
    world.metastore.pause("a", "test")
    assert stored(instance, ticks.tick()) == []
    world.metastore.resume("a", "test")
    dumped(world, "a")
    assert stored(instance, ticks.tick()) == ["freshness:True"]


def test_the_watchdog_shows_definitions_that_were_skipped(
    world: World, instance: dg.DagsterInstance
) -> None:
    broken = Ticks(world, instance, watchdog_sensor(Built(skipped={"odd": "made to fail"})))
    assert stored(instance, broken.tick()) == ["all_built:False"]
    assert stored(instance, broken.tick()) == []
    mended = Ticks(world, instance, watchdog_sensor(Built()))
    assert stored(instance, mended.tick()) == ["all_built:True"]
    assert stored(instance, mended.tick()) == []
    held = instance.fetch_materializations(HEALTH, 1).records
    assert not held


@pytest.mark.parametrize("damage", ["garbage", "hole"])
def test_a_log_that_cannot_be_read_keeps_no_other_table_from_being_loaded(
    world: World, instance: dg.DagsterInstance, damage: str
) -> None:
    for table in ("a", "b"):
        world.register(table)
        for _ in range(3):
            world.produce(table, {"id": 1})
            dumped(world, table)
    keys = [i.key for i in world.ports.store.list("checkpoints/a/phase1/")]
    if damage == "hole":
        world.ports.store.delete(keys[1:2])
    else:
        world.ports.store.put(keys[1], b"{")
        world.ports.store.put(keys[2], b"{")
    assert Ticks(world, instance, load_sensor({"a", "b"})).asked() == {"a", "b"}


def test_a_schedule_broken_since_the_last_reload_stops_only_its_dataset(
    world: World, instance: dg.DagsterInstance
) -> None:
    for table in ("a", "b"):
        world.register(table)
        dumped(world, table)
    ticks = Ticks(world, instance, ingest_sensor({"a", "b"}))
    world.metastore.update("a", {"schedule": "0 0 30 2 *"}, 1, "test")
    world.now_ms += 5 * MINUTE_MS
    assert ticks.asked() == {"b"}


def test_a_dataset_whose_requests_change_nothing_runs_alone(
    world: World, instance: dg.DagsterInstance
) -> None:
    """It may be what kills the run before the others get their turn."""
    for table in ("a", "b", "new"):
        world.register(table)
    ticks = Ticks(world, instance, ingest_sensor({"a", "b"}))
    for _ in range(2):
        assert ticks.asked() == {"a", "b"}
        world.now_ms += HOUR_MS
    ticks._sensor = ingest_sensor({"a", "b", "new"})
    requests = ticks.tick().run_requests or []
    asked = [[k.path[1] for k in r.asset_selection or ()] for r in requests]
    assert asked == [["new"], ["a"], ["b"]]


def test_when_everything_fails_few_runs_are_asked_for(world: World) -> None:
    memory, tables = Memory(), [f"t{n}" for n in range(100)]
    for table in tables * 5:
        memory.tried(table, 0, world.now_ms)
    assert [len(group) for group in memory.runs(tables)] == [97, 1, 1, 1]


def test_a_tick_stops_reading_logs_in_time(
    world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = [f"t{n}" for n in range(5)]
    for table in tables:
        world.register(table)
        world.produce(table, {"id": 1})
        dumped(world, table)
    get = type(world.ports.store).get

    def slow(store: object, key: str) -> bytes:
        world.now_ms += 4_000
        return get(store, key)  # type: ignore[arg-type]

    monkeypatch.setattr(type(world.ports.store), "get", slow)
    ticks = Ticks(world, instance, load_sensor(set(tables)))
    reported = [len(ticks.tick().asset_events) for _ in range(3)]
    assert reported == [3, 2, 0]


def test_a_window_of_a_fast_clock_is_reported_when_its_hour_has_come(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.register("a")
    world.produce("a", {"id": 1}, at_ms=START_MS + HOUR_MS)
    definitions(world).resolve_job_def(DUMP_JOB).execute_in_process(instance=instance)
    loaded(world, "a")
    ticks = Ticks(world, instance, load_sensor({"a"}))
    assert not ticks.tick().asset_events
    world.now_ms += HOUR_MS
    events = ticks.tick().asset_events
    assert [e.asset_key.path[0] for e in events] == ["raw", "lake"]
    assert not ticks.tick().asset_events


def test_a_cursor_holds_nothing_of_datasets_that_moved_on(
    world: World, instance: dg.DagsterInstance
) -> None:
    """It is stored with every tick of every five seconds."""
    world.register("a")
    ticks = Ticks(world, instance, ingest_sensor({"a"}))
    assert ticks.asked() == {"a"}
    dumped(world, "a")
    assert Memory.parse(ticks.tick().cursor) == Memory()


@pytest.mark.parametrize("cursor", ["oops", "[]", '{"tries": {"a": 1}}', '{"marked": 3}'])
def test_a_cursor_that_cannot_be_read_is_started_anew(cursor: str) -> None:
    assert Memory.parse(cursor) == Memory()


def test_a_cursor_survives_the_round_trip() -> None:
    memory = Memory()
    memory.tried("a", 3, START_MS)
    memory.reported["a"] = 9
    assert Memory.parse(memory.dump()) == memory
    assert Memory.parse(None) == Memory()
