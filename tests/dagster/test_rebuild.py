"""The job `rebuild_table`: progress, comparison, swap; the same words as the command's."""

from __future__ import annotations

import dagster as dg
import pytest

from assets.jobs import DUMP_JOB, LOAD_JOB
from lake_platform.adapters.memory.engine import MemoryEngine
from tests.dagster.fakes import World
from tests.dagster.test_again import job, metadata
from tests.dagster.test_phases import run


@pytest.fixture
def begun(world: World, instance: dg.DagsterInstance) -> World:
    engine = MemoryEngine(world.ports.store)
    world.engine = engine  # type: ignore[assignment]
    world.register("orders")
    world.produce("orders", {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    run(world, instance, DUMP_JOB, "orders")
    run(world, instance, LOAD_JOB, "orders")
    return world


def test_it_is_built_compared_and_swapped(begun: World, instance: dg.DagsterInstance) -> None:
    changes = {"partition_by": ["name"]}
    built = job(begun, instance, "rebuild_table", "rebuild", table="orders", changes=changes)
    assert built.success
    found = metadata(built)
    assert [(t["table"], t["rows"]) for t in found["tables"]] == [("live", 2), ("rebuilt", 2)]
    assert (found["problems"], found["swapped"]) == ("none", False)
    assert begun.metastore.get("orders").dataset.partition_by == ()
    swapped = job(begun, instance, "rebuild_table", "rebuild", table="orders", swap=True)
    assert metadata(swapped)["swapped"] is True
    assert begun.metastore.get("orders").dataset.partition_by == ("name",)


def test_it_is_dropped_and_what_cannot_be_is_said(
    begun: World, instance: dg.DagsterInstance
) -> None:
    changes = {"partition_by": ["name"]}
    job(begun, instance, "rebuild_table", "rebuild", table="orders", changes=changes)
    other = job(
        begun, instance, "rebuild_table", "rebuild", table="orders",
        changes={"partition_by": ["id"]},
    )  # fmt: skip
    assert not other.success
    [failed] = [e for e in other.all_events if e.is_step_failure]
    assert "is being rebuilt with another partition_by" in str(failed.step_failure_data)
    dropped = job(
        begun, instance, "rebuild_table", "rebuild", table="orders", abort=True, asked_by="ann"
    )
    assert metadata(dropped) == {"dropped": True}
    assert begun.metastore.rebuild("orders") is None
    assert begun.metastore.audit_log("orders")[0].actor == "ann"
