"""Spark for a run, through dagster-pyspark: one session, started when first needed."""

from typing import TYPE_CHECKING, Any

from lake_platform.adapters.spark.session import started
from lake_platform.compose import ensure_java, secret, spark_config, spark_secrets
from lake_platform.errors import EngineError
from lake_platform.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class RunSpark:
    """The session of this run: in the run's own process, or `spark_remote` (Spark Connect).

    dagster-pyspark imports pyspark, so it is imported only when a session is asked for: the code
    location loads without it.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lazy: Any = None

    def session(self) -> "SparkSession":
        """Raises: EngineError when Spark does not start; SetupError when the jars are missing."""
        from dagster_pyspark import LazyPySparkResource

        if self._lazy is not None and _is_stopped(self._lazy.spark_session):
            self._lazy = None
        if self._lazy is None:
            ensure_java(self.settings)
            self._lazy = LazyPySparkResource(spark_config=self._config())
        lazy = self._lazy
        try:
            remote = secret(self.settings.spark_remote, "LAKE_SPARK_REMOTE")
            secrets = {} if remote else spark_secrets(self.settings)
            return started(lambda: lazy.spark_session, self.settings.spark_master, remote, secrets)
        except EngineError:
            self._lazy = None
            raise

    def stop(self) -> None:
        if self._lazy is not None:
            self._lazy.spark_session.stop()
            self._lazy = None

    def _config(self) -> dict[str, Any]:
        if self.settings.spark_remote:
            return {"spark.remote": secret(self.settings.spark_remote, "LAKE_SPARK_REMOTE")}
        return {
            **spark_config(self.settings),
            "spark.master": self.settings.spark_master,
            "spark.app.name": "lake-platform",
        }


def _is_stopped(session: Any) -> bool:
    """By an engine, which needs another one. Spark Connect's closes its client."""
    context = getattr(session, "_sc", None)
    return context is not None and context._jsc is None
