"""Puts adapters behind the ports, as the settings say. Only entrypoints import this.

Adapters are imported when they are asked for: whoever only reads the metastore loads neither the
Kafka client nor Spark.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pydantic import SecretStr

from lake_platform.code.pins import NO_CODE, CodeBase
from lake_platform.domain.bundle import EngineFor, Limits, Ports
from lake_platform.domain.dataset import Dataset, Format
from lake_platform.domain.offsets import Slice
from lake_platform.domain.pool import Pool
from lake_platform.domain.ports import Kafka, Metastore, TableEngine
from lake_platform.domain.schema import Struct
from lake_platform.domain.storage import ObjectStore
from lake_platform.metastore.outside import MissingRanges, Notify
from lake_platform.metastore.repository import Repository, open_repository
from lake_platform.metastore.service import UseCases
from lake_platform.settings import Settings
from lake_platform.step_checks import build_analysis, code_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lake_platform.adapters.dagster.graphql import DagsterGraphQL, Reloader
    from lake_platform.adapters.pool import Outside
    from lake_platform.adapters.spark.registration import Analyse
    from lake_platform.alerting.message import Receiver
    from lake_platform.audit.sources import Sources
    from lake_platform.domain.resolutions import Asked
    from lake_platform.load.held import Held, LookAhead


def clock() -> int:
    return time.time_ns() // 1_000_000


def build_metastore(
    settings: Settings, actor: str = "platform", *, make: bool = True
) -> Repository:
    """Raises: MetastoreUnavailableError, SetupError, InvalidFieldError; without `make`
    NoMetastoreError where there is none yet."""
    from lake_platform.adapters.secrets.resolve import resolved_url

    url = resolved_url(settings.metastore, "LAKE_METASTORE_URL")
    return open_repository(url, clock, actor, make=make)


def build_kafka(settings: Settings) -> Kafka:
    return _outside(settings).open_kafka()


def build_store(settings: Settings) -> ObjectStore:
    return _outside(settings).open_store()


def secret(given: str | SecretStr, setting: str) -> str:
    """A setting's value, or what it refers to. Raises: SecretMissingError."""
    from lake_platform.adapters.secrets.resolve import resolved

    return resolved(given.get_secret_value() if isinstance(given, SecretStr) else given, setting)


def build_pool(settings: Settings) -> Pool | None:
    """None where other processes could not see what one of them stores."""
    from lake_platform.adapters.pool import ProcessPool

    if settings.storage_root.startswith("memory:"):
        return None
    return ProcessPool(_outside(settings))


def _outside(settings: Settings) -> Outside:
    from lake_platform.adapters.pool import Outside

    return Outside(
        settings.kafka_bootstrap, settings.kafka_options,
        settings.storage_root, settings.storage_options,
        settings.registry_url, settings.registry_options,
    )  # fmt: skip


def ensure_java(settings: Settings) -> None:
    """pyspark finds its JVM by the environment. Raises: SetupError when there is no Java 17."""
    from lake_platform.embedded.java import java_home

    if not settings.spark_remote:
        os.environ.setdefault("JAVA_HOME", str(java_home()))


def spark_config(settings: Settings) -> dict[str, str]:
    """Options of the session in this process. Raises: SetupError when the jars are missing."""
    from lake_platform.adapters.spark.options import at_start
    from lake_platform.adapters.spark.session import session_config, storage_config

    extra = storage_config(settings.storage_options) | at_start(settings.spark_conf)
    return session_config(settings.spark_master, settings.spark_memory, settings.jars, extra)


def spark_secrets(settings: Settings) -> dict[str, str]:
    """Options for the session once it is open. Raises: SecretMissingError."""
    from lake_platform.adapters.spark.options import secrets

    return secrets(settings.spark_conf, settings.storage_options)


def spark_session(settings: Settings) -> Callable[[], SparkSession]:
    """Starts Spark in this process when it is first called."""

    def session() -> SparkSession:
        from lake_platform.adapters.spark.session import open_session

        ensure_java(settings)
        remote, master = secret(settings.spark_remote, "LAKE_SPARK_REMOTE"), settings.spark_master
        config = {} if remote else spark_config(settings)
        secrets = {} if remote else spark_secrets(settings)
        return open_session(config, master, remote, secrets=secrets)

    return session


def build_engines(settings: Settings, store: ObjectStore) -> EngineFor:
    """Starts Spark in this process when an engine first needs it."""
    session, code = spark_session(settings), code_of(settings)

    def engine(format_: Format) -> TableEngine:
        from lake_platform.adapters.engines import spark_engines

        return spark_engines(session, store, code)(format_)

    return engine


def build_ports(settings: Settings, metastore: Repository | None = None) -> Ports:
    """Opens the metastore and the clients; neither Kafka nor Spark is contacted yet."""
    from lake_platform.adapters.process import LocalWorkers

    store = build_store(settings)
    return Ports(
        kafka=build_kafka(settings),
        store=store,
        metastore=metastore or build_metastore(settings),
        engine=build_engines(settings, store),
        clock=clock,
        workers=LocalWorkers(),
        pool=build_pool(settings),
    )


def build_limits(settings: Settings) -> Limits:
    return Limits(
        slice=Slice(settings.slice_bytes, settings.slice_records),
        dump_processes=settings.dump_processes,
        batch_bytes=settings.batch_bytes,
        load_budget_seconds=settings.load_budget_seconds,
        claim_lease_seconds=settings.claim_lease_seconds,
        on_conflict=settings.on_conflict,
    )


def forget_spark(ended: Collection[int]) -> None:
    """For who ends the processes `ended`, of which the JVM of this process may be one."""
    from lake_platform.adapters.spark.session import forget_jvm

    forget_jvm(ended)


def build_audit_sources(settings: Settings, metastore: Metastore) -> Sources:
    """What an audit reads: by clients and engines that are not the writer's. Only the storage is
    looked at yet.

    Raises: SetupError, UnsupportedError, StorageUnavailableError: the storage cannot be read.
    """
    from lake_platform.adapters.secrets.resolve import resolved_options
    from lake_platform.audit.files import open_files
    from lake_platform.audit.sources import Sources
    from lake_platform.audit.tables import open_reader
    from lake_platform.audit.topic import KafkaTopic

    options = resolved_options(settings.storage_options, "LAKE_STORAGE_OPTIONS")
    files = open_files(settings.storage_root, options, os.environ)
    secured = resolved_options(settings.kafka_options, "LAKE_KAFKA_OPTIONS")
    topic = KafkaTopic(settings.kafka_bootstrap, secured)
    return Sources(metastore, files, topic, lambda format_: open_reader(format_, files))


def build_receivers(settings: Settings) -> list[Receiver]:
    """Of alerts; none when none is set. One whose settings are wrong says so when it is used."""
    from lake_platform.adapters.alerts.http import Slack, Webhook
    from lake_platform.adapters.alerts.mail import Email
    from lake_platform.adapters.alerts.receivers import made

    found: list[Receiver] = []

    def given(name: str) -> str:
        return secret(getattr(settings, name), f"LAKE_{name.upper()}")

    if settings.alert_webhook_url.get_secret_value():
        url, token = "alert_webhook_url", "alert_webhook_token"
        found.append(made("webhook", lambda: Webhook(given(url), given(token))))
    if settings.alert_slack_url.get_secret_value():
        found.append(made("slack", lambda: Slack(given("alert_slack_url"))))
    if to := [a.strip() for a in settings.alert_email_to.split(",") if a.strip()]:
        found.append(
            made("email", lambda: Email(
                tuple(to), settings.alert_email_from, settings.alert_smtp_host,
                settings.alert_smtp_port, settings.alert_smtp_user,
                given("alert_smtp_password"), settings.alert_smtp_security,
            ))
        )  # fmt: skip
    return found


def build_missing_ranges(ports: Ports) -> MissingRanges:
    from lake_platform.dump.dump import missing_ranges

    return lambda table: missing_ranges(table, ports)


def build_look_ahead(ports: Ports, limits: Limits, use_cases: UseCases) -> LookAhead:
    from lake_platform.load.held import begun, look

    def ahead(incident: int, asked: Asked) -> Held:
        if asked.new_table:
            table = use_cases.store.incident(incident).table
            return begun(use_cases.beginning(incident, asked), table, ports)
        dataset, active, decisions = use_cases.tried(incident, asked)
        return look(dataset, active, ports, limits, decisions)

    return ahead


def build_dagster(settings: Settings, timeout_seconds: float = 60.0) -> DagsterGraphQL:
    from lake_platform.adapters.dagster.graphql import DagsterGraphQL

    url = f"http://{settings.dagster_host}:{settings.dagster_port}"
    return DagsterGraphQL(url, timeout_seconds)


def build_reloader(settings: Settings) -> Reloader:
    from lake_platform.adapters.dagster.graphql import Reloader

    return Reloader(build_dagster(settings))


def build_use_cases(
    metastore: Repository,
    kafka: Kafka,
    notify: Notify = lambda _: None,
    settings: Settings | None = None,
    store: Callable[[], ObjectStore] | None = None,
    analyse: Analyse = lambda *_: (),
    code: CodeBase = NO_CODE,
) -> UseCases:
    """With `settings` the engine looks at steps before they are kept; else `analyse` does. `store`
    opens the storage, to say which raw has what a topic no longer holds; `code` is where steps have
    theirs from. With `settings` both are theirs."""
    from lake_platform.adapters.spark.registration import check_names, check_rules
    from lake_platform.adapters.spark.transforms import check_steps
    from lake_platform.load.advice import advice
    from lake_platform.raw.log import expired_seq, head, held
    from lake_platform.sight.infer import look

    def check_source(dataset: Dataset, source: Struct, held: Struct | None) -> Sequence[str]:
        check_names(dataset, source, lambda: look(kafka, dataset).seen)
        return analyse(dataset, source, held)

    opened = store or (partial(build_store, settings) if settings else None)
    if settings:
        remote = secret(settings.spark_remote, "LAKE_SPARK_REMOTE")
        analyse = build_analysis(settings, remote)
    return UseCases(
        metastore, kafka, look, check_steps, advice, notify, check_source,
        lambda table, topic_id: held(opened(), table, topic_id) if opened else {},
        lambda table: opened is None or head(opened(), table) is not None,
        check_rules,
        lambda table: expired_seq(opened(), table) if opened else 0,
        code_of(settings) if settings else code,
    )  # fmt: skip
