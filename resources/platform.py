"""The ports of the platform as a Dagster resource: opened on first use, shared within a process."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any, Protocol, cast

import dagster as dg
import structlog
from pydantic import Field, PrivateAttr

from lake_platform.adapters.secrets.resolve import use_aws_client
from lake_platform.alerting.deliver import Told, tell
from lake_platform.audit.sources import Sources
from lake_platform.catalog.service import CatalogService
from lake_platform.compose import (
    build_audit_sources,
    build_dagster,
    build_limits,
    build_look_ahead,
    build_ports,
    build_receivers,
    build_use_cases,
)
from lake_platform.domain.alerts import Alert, Known
from lake_platform.domain.batches import Worker
from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.described import Line
from lake_platform.domain.ports import Metastore
from lake_platform.domain.progress import DatasetRecord, Progress
from lake_platform.domain.resolutions import Asked
from lake_platform.domain.windows import FIRST_WINDOW
from lake_platform.errors import LakeError
from lake_platform.evolution.proposals import Proposal
from lake_platform.load.held import Held
from lake_platform.metastore.batch_rows import BatchStatistics
from lake_platform.metastore.firing import known_of
from lake_platform.metastore.incident import Incident
from lake_platform.metastore.repository import Repository
from lake_platform.metastore.service import UseCases
from lake_platform.readers import build_catalog
from lake_platform.rebuild.proposals import proposals
from lake_platform.rebuild.rebuild import Rebuilder
from lake_platform.settings import Settings
from lake_platform.step_checks import code_of
from resources.spark import RunSpark


class Catalogue(Metastore, Protocol):
    """What Dagster needs of the metastore beyond `ingest`: all datasets in one read."""

    def list_all(
        self,
        *,
        include_retired: bool = False,
        on_broken: Callable[[str, LakeError], None] | None = None,
    ) -> Sequence[DatasetRecord]: ...

    def all_progress(self) -> Mapping[str, Progress]: ...

    def incidents(
        self, table: str | None = None, status: str | None = None, limit: int = 100
    ) -> Sequence[Incident]: ...

    def batches(self, table: str, limit: int = 100) -> Sequence[BatchStatistics]: ...

    def mapping(self, table: str) -> Sequence[Line]: ...


_RELOAD_SECONDS = 60.0
_log = structlog.get_logger(__name__)


def _secrets_manager() -> Any:
    from resources.secrets import secrets_resource

    return secrets_resource().get_client()


use_aws_client(_secrets_manager)  # in every process that has this resource
WORKER_TAG = "lake/worker"
_opened: dict[str, Ports] = {}
_opening = Lock()


def worker_tag(run_id: str, worker: Worker) -> str:
    """A retry inherits the tags of the run that died, so the tag says whose it is."""
    return f"{run_id}:{worker.host}:{worker.pid}:{worker.started}"


def worker_of(run: dg.DagsterRun) -> Worker | None:
    """None while the run's own worker has not begun."""
    run_id, _, rest = run.tags.get(WORKER_TAG, "").partition(":")
    if run_id != run.run_id:
        return None
    host, pid, started = rest.rsplit(":", 2)
    return Worker(host, int(pid), float(started))


class PlatformResource(dg.ConfigurableResource[Any]):
    """Ports and limits for asset bodies and sensors."""

    settings: dg.ResourceDependency[Settings]
    first_window: str = Field(default=FIRST_WINDOW, description="Where Dagster's partitions begin.")
    _ports: Any = PrivateAttr(default=None)
    _spark: Any = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Writes on the run who works on it, so that a dead worker's run can be ended."""
        # A sensor sets the resource up too, without a run.
        if context.run is not None and context.instance is not None:
            me = self.open_ports().workers.me()
            run_id = context.run.run_id
            context.instance.add_run_tags(run_id, {WORKER_TAG: worker_tag(run_id, me)})

    @property
    def ports(self) -> Ports:
        """With Spark behind `engine`, started on first use."""
        if self._ports is None:
            self._ports = self._with_spark(self.open_ports())
        ports: Ports = self._ports
        return ports

    @property
    def use_cases(self) -> UseCases:
        ports = self.open_ports()
        store = cast("Repository", ports.metastore)
        code = code_of(self.settings)
        return build_use_cases(store, ports.kafka, lambda _table: self.reload(), code=code)

    def reload(self) -> None:
        """What changed shows in Dagster. Only from a run: it ends the process of a sensor."""
        try:
            build_dagster(self.settings, _RELOAD_SECONDS).reload()
        except LakeError as error:
            _log.warning("code location not reloaded", error=str(error)[:300])

    def proposals(self, table: str, since_ms: int = 0) -> Sequence[Proposal]:
        """Raises: StorageUnavailableError, CorruptRawError."""
        ports = self.open_ports()
        return proposals(table, cast("Repository", ports.metastore), ports.store, since_ms)

    @property
    def rebuilder(self) -> Rebuilder:
        metastore = cast("Repository", self.ports.metastore)
        return Rebuilder(metastore, self.ports, self.limits, self.use_cases.check_on)

    def look_ahead(self, incident: int, asked: Asked) -> Held:
        """What would come of the held records. Raises: as `UseCases.resolve_incident`."""
        return build_look_ahead(self.ports, self.limits, self.use_cases)(incident, asked)

    @property
    def catalogue(self) -> Catalogue:
        catalogue: Catalogue = self.open_ports().metastore  # type: ignore[assignment]
        return catalogue

    def known(self) -> Known[DatasetRecord]:
        """What the conditions of alerts look at."""
        return known_of(cast("Repository", self.open_ports().metastore))

    def tell(self, firing: Sequence[Alert], now_ms: int) -> Told:
        reminder = round(self.settings.alert_reminder_hours * 3_600_000)
        store = cast("Repository", self.open_ports().metastore)
        return tell(firing, store, build_receivers(self.settings), reminder, now_ms)

    def catalog(self) -> CatalogService:
        """Where other engines find the tables: Glue, through dagster-aws. Raises: SetupError."""
        from resources.glue import glue_resource

        ports, settings = self.open_ports(), self.settings
        return build_catalog(
            settings, cast("Repository", ports.metastore),
            lambda region: glue_resource(settings, region).get_client(), ports.store,
        )  # fmt: skip

    def audit_sources(self) -> Sources:
        """What an audit reads: without Spark, by clients of its own."""
        return build_audit_sources(self.settings, self.open_ports().metastore)

    @property
    def limits(self) -> Limits:
        return build_limits(self.settings)

    def open_ports(self) -> Ports:
        """A sensor ticks every few seconds: it must not open the metastore anew each time."""
        key = self.settings.model_dump_json()
        with _opening:
            if key not in _opened:
                _opened[key] = build_ports(self.settings)
            return _opened[key]

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        if self._spark is not None:
            self._spark.stop()

    def _with_spark(self, ports: Ports) -> Ports:
        from lake_platform.adapters.engines import spark_engines

        self._spark, code = RunSpark(self.settings), code_of(self.settings)
        return replace(ports, engine=spark_engines(self._spark.session, ports.store, code))
