"""The process that is killed: does what its standard input says, one word a line.

`dump` (of the dataset whose raw the table is made of), `spread` (a dump by two processes), `load`,
`crew` (a load decoded by two), `cycle` (dump and load), `compact`, `replay`, `clean`, `rebuild`,
`release` (what stopped the table is put aside, and a load), `strict` (a rule puts large numbers
aside), `redrive` (without that rule), `warm` (start the JVM), `often` (Hudi cleans and archives at
every batch, and a cycle ends in a compaction). Answers are lines in `<home>/answers`:
`ok`, or the name of our error. Any other exception ends the process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.hudi import engine as hudi
from lake_platform.adapters.hudi import options as hudi_options
from lake_platform.adapters.pool import ProcessPool
from lake_platform.adapters.process import LocalWorkers
from lake_platform.adapters.spark.session import open_session
from lake_platform.compose import build_limits, build_ports, clock, ensure_java, spark_config
from lake_platform.domain.batches import Worker
from lake_platform.domain.bundle import Ports
from lake_platform.domain.offsets import Slice
from lake_platform.domain.ports import Kafka, Metastore
from lake_platform.domain.resolutions import Asked
from lake_platform.domain.storage import ObjectStore
from lake_platform.dump import shares
from lake_platform.dump.dump import dump
from lake_platform.errors import LakeError
from lake_platform.load import crew, stage
from lake_platform.load.load import load
from lake_platform.load.quarantined import Wanted
from lake_platform.load.redrive import Redrive
from lake_platform.maintain import cleaner as compact_log
from lake_platform.maintain.compaction import compact_table
from lake_platform.metastore import resolving
from lake_platform.metastore.repository import Repository
from lake_platform.raw import log as raw_log
from lake_platform.rebuild.rebuild import Rebuilder
from lake_platform.settings import Settings, load_settings
from lake_platform.step_checks import code_of
from tests.kills.parts import StandingOutside
from tests.kills.standing import Gate, Standing, StandingKafka, StandingStore, stand_in_jvm
from tests.kills.table import LARGE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_TWO_DAYS_MS = 2 * 86_400_000
# A short-lived JVM gains nothing from the second compiler. An archive of classes
# (-XX:SharedArchiveFile in LAKE_TEST_JAVA_OPTIONS) saves it a third of its start.
_JAVA_OPTIONS = f"-XX:TieredStopAtLevel=1 {os.environ.get('LAKE_TEST_JAVA_OPTIONS', '')}"


class ElsewhereWorkers(LocalWorkers):
    """A writer on another host: nobody can see whether it lives, only its lease tells."""

    def me(self) -> Worker:
        return replace(super().me(), host="elsewhere")


class Child:
    def __init__(self, settings: Settings, place: Path, table: str, elsewhere: bool) -> None:
        self._settings, self._place, self._table = settings, place, table
        self._gate = Gate(place)
        self._session: SparkSession | None = None
        self._compacting = False
        self._ports = self._standing(build_ports(settings))
        if elsewhere:
            self._ports = replace(self._ports, workers=ElsewhereWorkers())
        self._limits = replace(build_limits(settings), slice=Slice(1 << 20, 100))
        metastore = cast(Repository, self._ports.metastore)
        self._raw = metastore.get(table).dataset.raw_table

    def do(self, command: str) -> None:
        words: dict[str, Callable[[], None]] = {
            "dump": self._dump, "spread": self._spread, "load": self._load, "cycle": self._cycle,
            "compact": self._compact, "replay": self._replay, "clean": self._clean,
            "rebuild": self._rebuild, "often": self._often, "warm": self._warm, "crew": self._crew,
            "release": self._release, "strict": self._strict, "redrive": self._redrive,
        }  # fmt: skip
        words[command]()

    def session(self) -> SparkSession:
        if self._session is None:
            ensure_java(self._settings)
            config = spark_config(self._settings)
            config["spark.driver.extraJavaOptions"] = (
                f"{_JAVA_OPTIONS} -Dlake.kills.home={self._place}"
            )
            self._session = open_session(config, self._settings.spark_master)
            stand_in_jvm(self._session)
        return self._session

    def _standing(self, ports: Ports) -> Ports:
        store = cast(ObjectStore, StandingStore("store", ports.store, self._gate))
        engines = spark_engines(self.session, store, code_of(self._settings))
        return replace(
            ports,
            store=store,
            metastore=cast(Metastore, Standing("metastore", ports.metastore, self._gate)),
            kafka=cast(Kafka, StandingKafka("kafka", ports.kafka, self._gate)),
            engine=lambda f: Standing("engine", engines(f), self._gate),
        )

    def _warm(self) -> None:
        self.session()

    def _dump(self) -> None:
        list(dump(self._raw, self._ports, self._limits))

    def _spread(self) -> None:
        shares._LEAST_RECORDS = 1
        pool = ProcessPool(StandingOutside.of(self._settings, self._place))
        limits = replace(self._limits, dump_processes=2)
        list(dump(self._raw, replace(self._ports, pool=pool), limits))

    def _load(self) -> None:
        list(load(self._table, self._ports, self._limits))

    def _crew(self) -> None:
        crew._POOL_BYTES = stage._LEAST_BYTES = 0
        pool = ProcessPool(StandingOutside.of(self._settings, self._place))
        list(load(self._table, replace(self._ports, pool=pool), self._limits))

    def _cycle(self) -> None:
        self._dump()
        self._load()
        self._load_owner()
        if self._compacting:
            self._compact()

    def _load_owner(self) -> None:
        """The table of the dataset whose raw ours reads, where that is another one."""
        if self._raw != self._table:
            list(load(self._raw, self._ports, self._limits))

    def _compact(self) -> None:
        compact_table(self._table, self._ports, self._limits, after=1)

    def _replay(self) -> None:
        """The newest window that was dumped."""
        commits = raw_log.commits_after(self._ports.store, self._raw, 0)
        window = max(w for c in commits for w in c.windows)
        list(load(self._table, self._ports, self._limits, [window], True))

    def _clean(self) -> None:
        """As if two days later, keeping as little as can be kept."""
        compact_log._KEEP_CLAIMS = 1
        later = replace(self._ports, clock=lambda: clock() + _TWO_DAYS_MS)
        compact_log.compact_log(self._raw, later, keep_commits=1)

    def _rebuild(self) -> None:
        """To its end, or that of the one that was begun. What differs makes no other rows."""
        metastore = cast(Repository, self._ports.metastore)
        rebuilder = Rebuilder(metastore, self._ports, self._limits)
        if rebuilder.end_left(self._table):
            return
        limit = metastore.get(self._table).dataset.max_lag_seconds
        changes = {"max_lag_seconds": limit + 1}
        rebuilder.begin(self._table, {} if metastore.rebuild(self._table) else changes, "test")
        list(rebuilder.build(self._table))
        rebuilder.swap(self._table)

    def _release(self) -> None:
        metastore = cast(Repository, self._ports.metastore)
        for incident in metastore.incidents(self._table, "OPEN"):
            outcome = resolving.outcome(metastore, incident, Asked("quarantine"))
            metastore.settle(incident.id, outcome, "test")
        self._load()

    def _strict(self) -> None:
        self._set_rules([{"column": "n", "max": LARGE - 1, "policy": "quarantine"}])

    def _redrive(self) -> None:
        self._set_rules([])
        list(Redrive(self._table, self._ports, self._limits, Wanted()).run())

    def _set_rules(self, rules: list[dict[str, Any]]) -> None:
        metastore = cast(Repository, self._ports.metastore)
        version = metastore.get(self._table).version
        metastore.update(self._table, {"rules": rules}, version, "test")

    def _often(self) -> None:
        self._compacting = True
        hudi_options.COMMON = {
            **hudi_options.COMMON,
            "hoodie.clean.commits.retained": "1",
            "hoodie.keep.min.commits": "2",
            "hoodie.keep.max.commits": "3",
            # A failed write is rolled back when its heartbeat stopped for two of these.
            "hoodie.client.heartbeat.interval_in_ms": "1000",
        }


def share_the_lock() -> None:
    """Takes the fence away: every epoch locks the same path, which nobody poisons."""
    fenced = hudi_options.fence_options

    def shared(lock_url: str) -> dict[str, str]:
        return fenced(f"{lock_url.rsplit('/', 1)[0]}/shared")

    hudi_options.fence_options = shared
    hudi.HudiEngine.fence = lambda *_: None  # type: ignore[method-assign]


def main(home: Path, place: Path, bootstrap: str, jars: str, table: str, *flags: str) -> None:
    settings = load_settings(home).model_copy(
        update={"kafka_bootstrap": bootstrap, "jars_dir": Path(jars), "spark_memory": "1g",
                "spark_master": "local[2]", "batch_bytes": 20_000,
                "definitions_dir": home / "definitions"}
    )  # fmt: skip
    if "impatient" in flags:
        settings = settings.model_copy(update={"claim_lease_seconds": 0.0})
    if "unfenced" in flags:
        share_the_lock()
    child = Child(settings, place, table, "elsewhere" in flags)
    answers = place / "answers"
    for line in sys.stdin:
        try:
            child.do(line.strip())
            answer = "ok"
        except LakeError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            answer = type(error).__name__
        with answers.open("a") as out:
            out.write(f"{answer}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
