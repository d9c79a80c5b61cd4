"""The job that compacts: only tables that need it, and one that fails keeps no other waiting."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from tests.dagster.fakes import World, definitions


def compact(world: World, instance: dg.DagsterInstance) -> tuple[bool, dict[str, Any]]:
    result = (
        definitions(world)
        .resolve_job_def("compaction")
        .execute_in_process(instance=instance, raise_on_error=False)
    )
    outputs = [e.step_output_data for e in result.all_events if e.is_successful_output]
    return result.success, dict(outputs[0].metadata) if outputs else {}


def test_tables_with_twenty_commits_are_compacted(
    world: World, instance: dg.DagsterInstance
) -> None:
    for table, waiting in (("a", 19), ("b", 20), ("c", 45)):
        world.register(table)
        world.engine.waiting[table] = waiting
    success, told = compact(world, instance)
    assert success
    shown = {r.data["table"]: r.data["commits"] for r in told["tables"].records}
    assert shown == {"b": 20, "c": 45}
    assert world.engine.waiting == {"a": 19, "b": 0, "c": 0}


@pytest.mark.parametrize("broken", ["a", "c"])
def test_a_table_that_fails_is_told_and_the_others_are_compacted(
    world: World, instance: dg.DagsterInstance, broken: str
) -> None:
    for table in ("a", "b", "c"):
        world.register(table)
        world.engine.waiting[table] = 20
    world.engine.failing.add(broken)
    success, _ = compact(world, instance)
    assert not success
    assert {t for t, n in world.engine.waiting.items() if n} == {broken}
