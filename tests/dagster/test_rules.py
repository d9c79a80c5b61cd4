"""The check of a dataset's rules tells of each batch before it was written."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from assets.jobs import DUMP_JOB, LOAD_JOB
from assets.translator import asset_key
from lake_platform.domain.dataset import Rule, Status
from tests.dagster.fakes import World
from tests.dagster.test_phases import run


def checked(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    [found] = [
        e for e in result.get_asset_check_evaluations()
        if e.asset_key == asset_key("lake", "orders") and e.check_name == "rules"
    ]  # fmt: skip
    return found


@pytest.mark.parametrize("policy", ["warn", "quarantine"])
def test_rules_of_a_run(world: World, instance: dg.DagsterInstance, policy: Any) -> None:
    world.register("orders", rules=(Rule(column="id", max=1, policy=policy),))
    world.produce("orders", {"id": 1}, {"id": 2}, {"id": 3})
    assert run(world, instance, DUMP_JOB, "orders").success
    loaded = run(world, instance, LOAD_JOB, "orders")
    assert loaded.success
    found = checked(loaded)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == "rules are broken in 1 of 1 batches"
    table = found.metadata["broken"]
    assert isinstance(table, dg.TableMetadataValue)
    [row] = table.records
    assert {k: row.data[k] for k in ("rule", "policy", "rows", "records", "samples")} == {
        "rule": "id.max", "policy": policy, "rows": 2, "records": 3, "samples": "p0/1: 2, p0/2: 3",
    }  # fmt: skip


def test_rules_that_hold(world: World, instance: dg.DagsterInstance) -> None:
    world.register("orders", rules=(Rule(column="id", unique=True),))
    world.produce("orders", {"id": 1}, {"id": 2})
    assert run(world, instance, DUMP_JOB, "orders").success
    found = checked(run(world, instance, LOAD_JOB, "orders"))
    assert (found.passed, found.description) == (True, "all rules hold in 1 batches")
    # Nothing new: the newest rows are looked at.
    found = checked(run(world, instance, LOAD_JOB, "orders"))
    assert (found.passed, found.description) == (True, "all rules hold")


def test_a_rule_that_blocks(world: World, instance: dg.DagsterInstance) -> None:
    world.register("orders", rules=(Rule(column="id", max=1, policy="block"),))
    world.produce("orders", {"id": 2})
    assert run(world, instance, DUMP_JOB, "orders").success
    loaded = run(world, instance, LOAD_JOB, "orders")
    assert not loaded.success
    found = checked(loaded)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "was not written: id.max is broken by 1 rows" in str(found.description)
    samples = found.metadata["samples"]
    assert isinstance(samples, dg.JsonMetadataValue)
    assert samples.value[0]["value"] == {"id": 2}  # type: ignore[index]
    assert world.metastore.get("orders").status is Status.BLOCKED
