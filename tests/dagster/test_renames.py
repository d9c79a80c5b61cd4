"""A key that a producer renamed: the check `renames` says so, the job `alias_column` acts on it."""

from __future__ import annotations

import dagster as dg
import pytest

from assets.jobs import DUMP_JOB, LOAD_JOB
from assets.proposals import NEWS_MS, renames_of
from lake_platform import compose
from lake_platform.adapters.memory.engine import MemoryEngine
from tests.dagster.fakes import World, fake_platform
from tests.dagster.test_again import job, metadata
from tests.dagster.test_phases import run, verdicts
from tests.unit.rebuild.test_proposals import record


@pytest.fixture
def renamed(world: World, instance: dg.DagsterInstance) -> World:
    engine = MemoryEngine(world.ports.store)
    world.engine = engine  # type: ignore[assignment]
    world.register("orders")
    for key in ("customer_id", "customerId2"):
        world.produce("orders", *(record(n, **{key: n % 7}) for n in range(20)))
        run(world, instance, DUMP_JOB, "orders")
        verdict = verdicts(run(world, instance, LOAD_JOB, "orders"), "orders")
        assert verdict["renames"] is (key == "customer_id")
    return world


def check(world: World) -> dg.AssetCheckResult:
    return renames_of("orders", fake_platform(world))


def test_it_is_shown_with_what_to_do(renamed: World) -> None:
    found = check(renamed)
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert "customerId2 may be customer_id: the job alias_column" in (found.description or "")
    table = found.metadata["proposals"]
    assert isinstance(table, dg.TableMetadataValue)
    [row] = [r.data for r in table.records]
    assert row["command"] == "lake schema alias orders customer_id customerId2"
    assert row["run_config"] == (
        "{ops: {alias: {config: {table: orders, column: customer_id, key: customerId2}}}}"
    )
    assert float(str(row["score"])) > 0.9
    renamed.now_ms = compose.clock() + NEWS_MS
    assert check(renamed).passed  # what came long ago is known by now


def test_the_job_takes_it_up(renamed: World, instance: dg.DagsterInstance) -> None:
    asked = {"table": "orders", "column": "customer_id", "key": "customerId2"}
    would = metadata(job(renamed, instance, "alias_column", "alias", **asked, dry_run=True))
    assert would["how"] == "the table is made anew"
    assert would["changes"] == {"columns.customer_id": {"aliases": ["customerId2"]}}
    assert renamed.metastore.rebuild("orders") is None
    assert not check(renamed).passed
    done = metadata(job(renamed, instance, "alias_column", "alias", **asked, swap=True))
    assert (done["swapped"], done["problems"]) == (True, "none")
    assert check(renamed).passed
    assert renamed.metastore.get("orders").dataset.columns["customer_id"]["aliases"] == [
        "customerId2"
    ]
    again = metadata(job(renamed, instance, "alias_column", "alias", **asked))
    assert again["how"] == "from the next batch on"


def test_what_is_no_alias_is_said(renamed: World, instance: dg.DagsterInstance) -> None:
    bad = job(
        renamed, instance, "alias_column", "alias", table="orders", column="zz", key="customerId2"
    )
    assert not bad.success
    [failed] = [e for e in bad.all_events if e.is_step_failure]
    assert "no such column" in str(failed.step_failure_data)


def test_raw_that_cannot_be_read_fails_no_load(renamed: World) -> None:
    renamed.ports.store.delete([found.key for found in renamed.ports.store.list("raw/")])
    result = check(renamed)
    assert result.passed
    assert (result.description or "").startswith("not looked at: ")
