"""The run's Spark session comes from dagster-pyspark, once, and only when it is needed."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lake_platform.adapters.spark.session import ENGINE_CONFIG
from lake_platform.errors import EngineError, SetupError
from lake_platform.settings import Settings, load_settings
from resources.spark import RunSpark


class Started:
    """Stands in for what dagster-pyspark starts a session with."""

    def __init__(self) -> None:
        self.configs: list[dict[str, Any]] = []
        self.fails = False
        self.set: dict[str, str] = {}
        self.stopped = 0

    def __call__(self, config: dict[str, Any]) -> Any:
        if self.fails:
            raise RuntimeError("Java gateway process exited")
        self.configs.append(config)
        return SimpleNamespace(
            conf=SimpleNamespace(set=self.set.__setitem__),
            sparkContext=SimpleNamespace(setLogLevel=lambda _level: None),
            stop=self._stop,
        )

    def _stop(self) -> None:
        self.stopped += 1


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    fake = Started()
    monkeypatch.setattr("dagster_pyspark.resources.spark_session_from_config", fake)
    return fake


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    jars = tmp_path / "jars" / "spark"
    jars.mkdir(parents=True)
    (jars / "hudi-spark-bundle.jar").touch()
    return load_settings(tmp_path)


def test_one_session_for_all_datasets_of_a_run(started: Started, settings: Settings) -> None:
    spark = RunSpark(settings)
    assert spark.session() is spark.session()
    (config,) = started.configs
    assert config["spark.master"] == settings.spark_master
    assert config["spark.driver.memory"] == settings.spark_memory
    spark.stop()
    assert started.stopped == 1


def test_nothing_is_started_or_stopped_that_nobody_used(
    started: Started, settings: Settings
) -> None:
    RunSpark(settings).stop()
    assert (started.configs, started.stopped) == ([], 0)


def test_spark_connect_needs_no_jars(started: Started, tmp_path: Path) -> None:
    remote = load_settings(tmp_path).model_copy(update={"spark_remote": "sc://127.0.0.1:15002"})
    RunSpark(remote).session()
    assert started.configs == [{"spark.remote": "sc://127.0.0.1:15002"}]
    assert started.set["spark.sql.session.timeZone"] == "UTC"
    assert started.set["spark.sql.parquet.datetimeRebaseModeInWrite"] == "CORRECTED"
    assert started.set.items() <= ENGINE_CONFIG.items()


def test_missing_jars_are_a_setup_error(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LAKE_JARS_DIR", raising=False)  # a developer's
    with pytest.raises(SetupError, match="lake jars"):
        RunSpark(load_settings(tmp_path)).session()
    assert not started.configs


def test_a_session_that_does_not_start_can_be_tried_again(
    started: Started, settings: Settings
) -> None:
    spark = RunSpark(settings)
    started.fails = True
    with pytest.raises(EngineError, match="JAVA_HOME"):
        spark.session()
    started.fails = False
    assert spark.session() is not None
