"""The jobs `replay` and `redrive`: what they report, and what the quarantine asset shows then."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from assets.jobs import DUMP_JOB, LOAD_JOB
from assets.translator import asset_key
from lake_platform.domain.quality import Reason
from lake_platform.errors import BatchClaimedError
from tests.dagster.fakes import HOUR_MS, START_MS, World, definitions
from tests.dagster.test_phases import H0, H1, run

CONFLICT = Reason.CONFLICT.value


@pytest.fixture
def begun(world: World, instance: dg.DagsterInstance) -> World:
    """Two hours, each with a record whose `id` does not fit."""
    world.register("orders", on_conflict="quarantine")
    for hour in range(2):
        world.now_ms = START_MS + hour * HOUR_MS
        for values in ([{"id": hour}], [{"id": hour, "name": "x"}, {"id": "many"}]):
            world.produce("orders", *values)
            run(world, instance, DUMP_JOB, "orders")
            run(world, instance, LOAD_JOB, "orders")
    return world


def job(
    world: World, instance: dg.DagsterInstance, name: str, op: str, **config: Any
) -> dg.ExecuteInProcessResult:
    return (
        definitions(world)
        .resolve_job_def(name)
        .execute_in_process(
            instance=instance, raise_on_error=False, run_config={"ops": {op: {"config": config}}}
        )
    )


def redrive(world: World, instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    return job(world, instance, "redrive", "redrive_quarantine", table="orders", **config)


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """Of the op's output; tables as lists of dicts."""
    (found,) = [e.step_output_data.metadata for e in result.all_events if e.is_successful_output]
    return {
        name: [dict(r.data) for r in v.records] if isinstance(v, dg.TableMetadataValue) else v.value
        for name, v in found.items()
    }


def change(world: World, **fields: Any) -> None:
    record = world.metastore.get("orders")
    world.metastore.update("orders", fields, record.version, "test")


def test_records_come_back_and_the_quarantine_asset_shows_it(
    begun: World, instance: dg.DagsterInstance
) -> None:
    change(begun, on_conflict="rescue")
    result = redrive(begun, instance, windows=[H1])
    assert result.success
    told = metadata(result)
    assert told["came_back"] == [{"reason": CONFLICT, "came_back": 1, "stayed": 0}]
    assert (told["records_read"], told["batches"]) == (2, 1)
    newest = instance.get_latest_materialization_event(asset_key("quarantine", "orders"))
    assert newest is not None
    shown = newest.asset_materialization
    assert shown is not None
    assert shown.partition == H1
    assert (shown.metadata["batch_quarantined"].value, shown.metadata["came_back"].value) == (
        0,
        True,
    )
    assert begun.metastore.progress("orders").quarantined == 1


def test_a_dry_run_says_what_and_does_nothing(begun: World, instance: dg.DagsterInstance) -> None:
    writes = begun.engine.writes["orders"]
    told = metadata(redrive(begun, instance, dry_run=True))
    assert [(row["window"], row["records"]) for row in told["tried"]] == [(H1, 1), (H0, 1)]
    assert told["records_to_read"] == 4
    assert begun.engine.writes["orders"] == writes


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"reasons": ["no such"]}, "no record is in quarantine for it"),
        ({"windows": ["2026-11-01-09:00"]}, f"there is {H0}, {H1}"),
        ({"version": 7}, "there is no such schema version"),
    ],
)
def test_a_redrive_that_cannot_be_says_why(
    begun: World, instance: dg.DagsterInstance, config: dict[str, Any], said: str
) -> None:
    result = redrive(begun, instance, **config)
    assert not result.success
    (failure,) = [e.step_failure_data for e in result.all_events if e.is_step_failure]
    assert said in str(failure.error)


@pytest.mark.parametrize(
    ("config", "windows"),
    [({"all_windows": True}, [H0, H1]), ({"windows": [H1]}, [H1]), ({"first_window": H1}, [H1])],
)
def test_a_replay_reports_its_windows(
    begun: World, instance: dg.DagsterInstance, config: dict[str, Any], windows: list[str]
) -> None:
    result = job(begun, instance, "replay", "replay_windows", table="orders", **config)
    assert result.success
    told = metadata(result)
    assert (told["first_window"], told["last_window"]) == (windows[0], windows[-1])
    events = [e.materialization for e in result.get_asset_materialization_events()]
    assert {e.partition for e in events if e.asset_key == asset_key("lake", "orders")} == {*windows}


def test_a_replay_of_no_windows_says_how_to_name_them(
    begun: World, instance: dg.DagsterInstance
) -> None:
    result = job(begun, instance, "replay", "replay_windows", table="orders")
    (failure,) = [e.step_failure_data for e in result.all_events if e.is_step_failure]
    assert "none is named; name windows" in str(failure.error)


def test_another_writer_is_not_taken_for_this_work(
    begun: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load that finds another one at work leaves it to that; a re-drive is tried again."""
    change(begun, on_conflict="rescue")
    write, tries = begun.engine.write, [BatchClaimedError("orders", "somebody")]

    def busy(job: Any) -> Any:
        if tries:
            raise tries.pop()
        return write(job)

    monkeypatch.setattr(begun.engine, "write", busy)
    result = redrive(begun, instance)
    assert result.success
    assert [row["came_back"] for row in metadata(result)["came_back"]] == [2]
