"""The asset `catalog/<table>`: apart from the load, tried again by itself, and its drift check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from assets.catalog import CATALOG_JOB, DRIFT, catalog_asset
from assets.jobs import DUMP_JOB, LOAD_JOB
from assets.translator import asset_key
from lake_platform.adapters.memory.catalog import MemoryCatalog
from lake_platform.catalog.service import CatalogService
from lake_platform.domain.catalog import Stored
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.errors import SetupError
from sensors.catalog import catalog_sensor
from tests.dagster.fakes import SOURCE, FakePlatform, World, definitions, fake_platform
from tests.dagster.test_phases import run
from tests.dagster.test_sensors import Ticks
from tests.glue_server import aws_keys, glue_url

__all__ = ["aws_keys", "glue_url"]

DAY_MS = 86_400_000


class Shelf:
    """What lies in the lake, and the catalog of it."""

    def __init__(self, world: World) -> None:
        self.world, self.catalog = world, MemoryCatalog()
        self.columns: dict[str, Struct] = {}
        self.error: Exception | None = None

    def look(self, dataset: Dataset) -> Stored | None:
        state = self.world.engine.state(dataset)
        if not state.exists or state.last is None:
            return None
        return Stored(self.columns.get(dataset.table, SOURCE), state.last.schema_version)

    def service(self) -> CatalogService:
        if self.error is not None:
            raise self.error
        metastore = self.world.metastore
        return CatalogService(metastore, self.look, self.catalog, "s3://bucket", "none")


@pytest.fixture
def shelf(world: World, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    made = Shelf(world)
    monkeypatch.setattr(FakePlatform, "catalog", lambda _: made.service())
    policy = dg.RetryPolicy(max_retries=2)
    monkeypatch.setattr(
        "assets.factory.catalog_asset", lambda dataset, spec: catalog_asset(dataset, spec, policy)
    )
    return made


def loaded(world: World, instance: dg.DagsterInstance, table: str, **values: Any) -> None:
    world.register(table, catalog="glue", **values)
    more(world, instance, table)


def more(world: World, instance: dg.DagsterInstance, table: str) -> None:
    world.produce(table, {"id": 1, "name": "a"})
    assert run(world, instance, DUMP_JOB, table).success
    assert run(world, instance, LOAD_JOB, table).success


def synced(world: World, instance: dg.DagsterInstance, *tables: str) -> dg.ExecuteInProcessResult:
    job = definitions(world).resolve_job_def(CATALOG_JOB)
    keys = [asset_key("catalog", t) for t in tables]
    return job.execute_in_process(instance=instance, asset_selection=keys, raise_on_error=False)


def verdict(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    *_, last = result.get_asset_check_evaluations()
    assert last.check_name == DRIFT
    return last


@pytest.fixture
def asked(world: World, shelf: Shelf, instance: dg.DagsterInstance) -> Callable[[], set[str]]:
    """The tables that a tick of the sensor asks for."""
    assert shelf
    world.register("never", catalog="glue")
    return Ticks(world, instance, catalog_sensor(frozenset({"never", "t"}))).asked


def test_only_datasets_that_say_so_have_the_asset(world: World, shelf: Shelf) -> None:
    assert shelf
    world.register("plain")
    world.register("listed", catalog="glue")
    keys = definitions(world).resolve_all_asset_keys()
    assert asset_key("catalog", "listed") in keys
    assert asset_key("catalog", "plain") not in keys


def test_the_settings_count_for_datasets_that_do_not_say(world: World) -> None:
    world.register("plain")
    world.register("not", catalog="none")
    world.settings = world.settings.model_copy(update={"catalog": "glue"})
    keys = definitions(world).resolve_all_asset_keys()
    assert asset_key("catalog", "plain") in keys
    assert asset_key("catalog", "not") not in keys


def test_a_run_has_its_client_through_dagsters_resource(
    world: World, glue_url: str, aws_keys: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert aws_keys is None
    changes = {"glue_endpoint_url": glue_url, "glue_database": "by_dagster", "catalog": "glue"}
    world.settings = world.settings.model_copy(update=changes)
    world.register("t")
    service = fake_platform(world).catalog()
    assert service.sync("t").entries == ()
    assert service.catalog.ensure()
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(SetupError, match="LAKE_GLUE_REGION"):
        fake_platform(world).catalog()
    world.settings = world.settings.model_copy(update={"storage_url": "memory:///"})
    with pytest.raises(SetupError, match="read tables on S3"):
        fake_platform(world).catalog()


def test_without_any_there_is_neither_job_nor_sensor(world: World) -> None:
    world.register("plain")
    made = definitions(world)
    assert "catalog_sensor" not in {s.name for s in made.sensors or ()}
    assert not made.has_implicit_global_asset_job_def() or CATALOG_JOB not in {
        j.name for j in made.jobs or ()
    }


def test_a_sync_after_the_load_writes_nothing_to_the_table(
    world: World, instance: dg.DagsterInstance, shelf: Shelf
) -> None:
    loaded(world, instance, "t", mode="upsert", primary_key=("id",))
    writes = dict(world.engine.writes)
    result = synced(world, instance, "t")
    assert result.success
    assert verdict(result).passed
    assert world.engine.writes == writes
    (event,) = result.get_asset_materialization_events()
    assert "created" in str(event.materialization.metadata["entries"].value)
    assert [c.type for c in shelf.catalog.entries["t"].columns] == ["bigint", "string"]


def test_a_catalog_that_does_not_answer_is_asked_again_in_the_same_run(
    world: World, instance: dg.DagsterInstance, shelf: Shelf
) -> None:
    loaded(world, instance, "t")
    shelf.catalog.failing = 2
    result = synced(world, instance, "t")
    assert result.success
    retried = [e for e in result.all_events if e.event_type_value == "STEP_RESTARTED"]
    assert len(retried) == 2
    assert verdict(result).passed
    assert world.engine.writes["t"] == 1


def test_one_that_never_answers_is_red_and_keeps_no_other_waiting(
    world: World, instance: dg.DagsterInstance, shelf: Shelf
) -> None:
    loaded(world, instance, "t")
    loaded(world, instance, "u")
    shelf.catalog.broken.add("t")
    result = synced(world, instance, "t", "u")
    assert not result.success
    assert set(shelf.catalog.entries) == {"u"}
    found = [e for e in result.get_asset_check_evaluations() if not e.passed]
    assert {str(e.severity) for e in found} == {str(dg.AssetCheckSeverity.WARN)}
    assert "it is made to fail" in str(found[0].description)


def test_what_a_retry_does_not_mend_fails_at_once(
    world: World, instance: dg.DagsterInstance, shelf: Shelf
) -> None:
    loaded(world, instance, "t")
    shelf.error = SetupError("no region; set LAKE_GLUE_REGION")
    result = synced(world, instance, "t")
    assert not result.success
    assert not [e for e in result.all_events if e.event_type_value == "STEP_RESTARTED"]
    assert verdict(result).severity == dg.AssetCheckSeverity.ERROR
    assert "set LAKE_GLUE_REGION" in str(verdict(result).description)


def test_drift_is_shown_by_the_check_alone_which_changes_nothing(
    world: World, instance: dg.DagsterInstance, shelf: Shelf
) -> None:
    loaded(world, instance, "t")
    assert synced(world, instance, "t").success
    held = shelf.catalog.entries["t"]
    broken = replace(held, columns=(replace(held.columns[0], type="string"),))
    shelf.catalog.entries["t"] = broken
    shelf.columns["t"] = Struct((*SOURCE.fields, Field("stray", Scalar("date"))))
    check = dg.AssetCheckKey(asset_key("catalog", "t"), DRIFT)
    made = definitions(world)
    job = dg.define_asset_job("alone", dg.AssetSelection.checks(check))
    job_def = dg.Definitions(
        assets=made.assets, jobs=[job], resources=made.resources
    ).resolve_job_def("alone")
    result = job_def.execute_in_process(instance=instance)
    found = verdict(result)
    assert not found.passed
    assert shelf.catalog.entries["t"] is broken
    told = str(found.metadata["differences"].value)
    for part in ("bigint", "string", "name", "stray", "date"):
        assert part in told
    assert "lake catalog sync t" in str(found.description)


def test_the_sensor_asks_after_a_load_and_once_a_day(
    world: World, instance: dg.DagsterInstance, asked: Callable[[], set[str]]
) -> None:
    assert asked() == set()  # nothing is loaded
    loaded(world, instance, "t")
    assert asked() == {"t"}
    assert asked() == set()  # not again at once: the run is on its way
    assert synced(world, instance, "t").success
    assert asked() == set()
    more(world, instance, "t")
    assert asked() == {"t"}
    assert synced(world, instance, "t").success
    world.now_ms += DAY_MS
    assert asked() == {"t"}


def test_the_sensor_asks_again_for_one_that_failed_ever_less_often(
    world: World, instance: dg.DagsterInstance, shelf: Shelf, asked: Callable[[], set[str]]
) -> None:
    loaded(world, instance, "t")
    assert asked() == {"t"}
    shelf.error = SetupError("no region")
    assert not synced(world, instance, "t").success
    assert asked() == set()
    world.now_ms += 15_000
    assert asked() == {"t"}
    world.now_ms += 15_000
    assert asked() == set()  # the pause has doubled
    shelf.error = None
    assert synced(world, instance, "t").success
    world.now_ms += 60_000
    assert asked() == set()
