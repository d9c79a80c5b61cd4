"""Spark for a run, through dagster-pyspark: one session, started when first needed."""

from typing import TYPE_CHECKING, Any

from lake_platform.adapters.spark import session_config
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

        if self._lazy is None:
            self._lazy = LazyPySparkResource(spark_config=self._config())
        try:
            session: SparkSession = self._lazy.spark_session
        except Exception as error:  # whatever py4j or grpc throw, the remedy is the same
            self._lazy = None
            where = self.settings.spark_remote or self.settings.spark_master
            raise EngineError(
                f"Spark at {where} did not start: {type(error).__name__}: {str(error)[:500]}; "
                f"check JAVA_HOME (17) or SPARK_REMOTE"
            ) from error
        if self.settings.spark_remote:
            session.conf.set("spark.sql.session.timeZone", "UTC")
        else:
            session.sparkContext.setLogLevel("ERROR")
        return session

    def stop(self) -> None:
        if self._lazy is not None:
            self._lazy.spark_session.stop()
            self._lazy = None

    def _config(self) -> dict[str, Any]:
        if self.settings.spark_remote:
            return {"spark.remote": self.settings.spark_remote}
        settings = self.settings
        config = session_config(
            settings.spark_master, settings.spark_memory, settings.jars, settings.spark_conf
        )
        return {
            **config, "spark.master": settings.spark_master, "spark.app.name": "lake-platform",
        }  # fmt: skip
