"""The code location: what it must not import, and that one bad definition breaks nothing."""

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from assets.health import HEALTH
from assets.translator import Translator, asset_key
from lake_platform.compose import build_metastore
from lake_platform.definitions import build_definitions
from lake_platform.settings import load_settings
from tests.dagster.fakes import World, definitions

REPO = Path(__file__).parent.parent.parent


def test_loading_the_location_loads_no_heavy_library(tmp_path: Path) -> None:
    """With datasets in it, and with the sensors built: as a code server does it."""
    code = (
        "import json, sys\n"
        "from lake_platform.definitions import defs\n"
        "defs().get_repository_def()\n"
        "assert defs() is defs()\n"
        "heavy = ['pyspark', 'confluent_kafka', 'boto3', 'pandas', 'pandera', 'dagster_pyspark']\n"
        "sys.stdout.write(json.dumps([m for m in heavy if m in sys.modules]))\n"
    )
    settings = load_settings(tmp_path)
    metastore = build_metastore(settings)
    from lake_platform.domain.dataset import Dataset

    metastore.register(Dataset(topic="t", table="t"), None, "test")
    metastore.close()
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPO,
        env={"LAKE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_an_empty_home_gives_a_location_that_loads(tmp_path: Path) -> None:
    repository = build_definitions(load_settings(tmp_path)).get_repository_def()
    assert HEALTH in repository.asset_graph.get_all_asset_keys()
    assert not repository.has_sensor_def("ingest_sensor")


def test_everything_is_on_by_default(world: World) -> None:
    world.register("a")
    repository = definitions(world).get_repository_def()
    running = dg.DefaultSensorStatus.RUNNING
    assert {s.name: s.default_status for s in repository.sensor_defs} == {
        "ingest_sensor": running, "load_sensor": running, "watchdog": running,
        "alerts": running,
    }  # fmt: skip
    on = dg.DefaultScheduleStatus.RUNNING
    assert {s.name: s.default_status for s in repository.schedule_defs} == {
        "maintenance_daily": on, "audit_daily": on, "compaction_hourly": on,
    }  # fmt: skip


def test_what_a_person_materialises_runs_in_one_process_too(world: World) -> None:
    """A process a step would be a Spark a step, and the run's signed worker would end early."""
    world.register("a")
    repository = definitions(world).get_repository_def()
    assert {job.executor_def for job in repository.get_all_jobs()} == {dg.in_process_executor}


def test_a_retired_dataset_has_no_assets(world: World) -> None:
    world.register("old")
    world.register("new")
    world.metastore.retire("old", "test")
    keys = definitions(world).resolve_asset_graph().get_all_asset_keys()
    assert asset_key("lake", "new") in keys
    assert asset_key("lake", "old") not in keys


def test_one_definition_that_cannot_be_built_is_shown_and_skipped(
    world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.register("good")
    world.register("broken")
    spec = Translator.spec

    def failing(self: Translator, dataset: object, *rest: object) -> dg.AssetSpec:
        if getattr(dataset, "table", "") == "broken":
            raise ValueError("made to fail")
        return spec(self, dataset, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Translator, "spec", failing)
    built = definitions(world)
    keys = built.resolve_asset_graph().get_all_asset_keys()
    assert asset_key("lake", "good") in keys
    assert asset_key("lake", "broken") not in keys
    result = dg.materialize(
        [*built.resolve_asset_graph().assets_defs],
        selection=dg.AssetSelection.checks_for_assets(HEALTH),
        instance=instance,
    )
    (verdict,) = result.get_asset_check_evaluations()
    assert not verdict.passed
    assert "made to fail" in str(verdict.description)


def test_a_stored_definition_of_another_release_is_shown_and_skipped(world: World) -> None:
    from sqlalchemy import text

    world.register("good")
    world.register("odd")
    with world.metastore._engine.begin() as connection:
        connection.execute(
            text("UPDATE datasets SET definition = '{\"mode\": 1}' WHERE table_name = 'odd'")
        )
    repository = definitions(world).get_repository_def()
    keys = repository.asset_graph.get_all_asset_keys()
    assert asset_key("raw", "good") in keys
    assert asset_key("raw", "odd") not in keys
    shown = repository.asset_graph.get(HEALTH).metadata["errors"]
    assert "odd" in str(shown)


def test_a_stored_schema_that_cannot_be_read_skips_only_its_dataset(world: World) -> None:
    from sqlalchemy import text

    world.register("good")
    world.register("odd")
    with world.metastore._engine.begin() as connection:
        connection.execute(
            text("UPDATE schema_versions SET source = :broken WHERE table_name = 'odd'"),
            {"broken": '{"type": 7}'},
        )
    keys = definitions(world).resolve_asset_graph().get_all_asset_keys()
    assert asset_key("lake", "good") in keys
    assert asset_key("lake", "odd") not in keys


@pytest.mark.parametrize("schedule", ["61 99 * * *", "0 0 30 2 *"])
def test_a_cron_line_that_never_comes_skips_only_its_dataset(world: World, schedule: str) -> None:
    world.register("good")
    world.register("odd", schedule=schedule)
    keys = definitions(world).resolve_asset_graph().get_all_asset_keys()
    assert asset_key("lake", "good") in keys
    assert asset_key("lake", "odd") not in keys
