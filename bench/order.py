"""What a worker process is told to do, and the platform's parts as it needs them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.records import Expected
from lake_platform import compose
from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.spark.session import open_session, session_config
from lake_platform.domain.bundle import Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.storage import ObjectStore
from lake_platform.embedded.java import java_home
from lake_platform.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

KINDS = ("parquet", "hudi", "upsert")
MASTER = "local[2]"
_JAVA_OPTIONS = "spark.driver.defaultJavaOptions"


@dataclass(frozen=True)
class Order:
    """`home` is this worker's own directory; `kind` one of KINDS; `base_seq` the newest raw commit
    that belongs to the table before the timed batch; `processes` the most of one dump, 0 all cores;
    `warm_up`: another table is loaded first; `sampled`: the memory of all processes is;
    `class_data`: Spark's JVM starts with the platform's archive, if it was made.
    """

    home: str
    bootstrap: str
    jars: str
    topic: str
    kind: str = "parquet"
    warm_topic: str = ""
    expected: Expected = field(default_factory=Expected)
    warm: Expected = field(default_factory=Expected)
    base_seq: int = 0
    rounds: int = 10
    processes: int = 1
    warm_up: bool = True
    sampled: bool = False
    class_data: bool = True

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Order:
        plain: dict[str, Any] = json.loads(text)
        for name in ("expected", "warm"):
            plain[name] = Expected(**plain[name])
        return cls(**plain)

    @property
    def settings(self) -> Settings:
        # model_validate: the constructor would want every field from a type checker's view
        return Settings.model_validate(
            {
                "home": Path(self.home),
                "kafka_bootstrap": self.bootstrap,
                "jars_dir": Path(self.jars),
                "spark_master": MASTER,
                "dump_processes": self.processes,
            }
        )


def dataset(kind: str, topic: str, table: str) -> Dataset:
    if kind == "upsert":
        return Dataset(topic=topic, table=table, mode="upsert", format="hudi", primary_key=("id",))
    return Dataset(topic=topic, table=table, format="hudi" if kind == "hudi" else "parquet")


def register(order: Order, tables: Mapping[str, str]) -> None:
    """Registers table -> topic as a user would, schema version 1 from the first messages."""
    settings = order.settings
    metastore = compose.build_metastore(settings)
    use_cases = compose.build_use_cases(metastore, compose.build_kafka(settings))
    for table, topic in tables.items():
        if not metastore.name_taken(table):
            use_cases.register_dataset(dataset(order.kind, topic, table), "bench")
    metastore.close()


def spark_session(order: Order, extra_jars: str = "") -> SparkSession:
    """The same session for the platform and for what it is measured against, but for class data."""
    os.environ.setdefault("JAVA_HOME", str(java_home()))
    config = session_config(MASTER, order.settings.spark_memory, Path(order.jars))
    if not order.class_data:
        options = shlex.split(config[_JAVA_OPTIONS])
        config[_JAVA_OPTIONS] = shlex.join(o for o in options if "SharedArchiveFile" not in o)
    config["spark.sql.warehouse.dir"] = f"{order.home}/warehouse"
    if extra_jars:
        found = sorted(str(p) for p in Path(extra_jars).glob("*.jar"))
        config["spark.driver.extraClassPath"] += os.pathsep + os.pathsep.join(found)
    return open_session(config, MASTER, app="lake-bench")


def ports(order: Order, store: ObjectStore | None = None) -> Ports:
    """The platform's ports as in production; `store` takes the place of the object store."""
    plain = compose.build_ports(order.settings)
    chosen = store or plain.store
    return replace(plain, store=chosen, engine=spark_engines(lambda: spark_session(order), chosen))


def clone(prepared: Path, home: Path) -> None:
    """A home with the same raw objects (hard links: raw is never rewritten) and metastore."""
    home.mkdir(parents=True)
    shutil.copytree(prepared / "storage", home / "storage", copy_function=os.link)
    for part in prepared.glob("metastore.db*"):
        shutil.copy(part, home)
