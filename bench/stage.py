"""The broker, the topics and the worker processes of one benchmark run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from bench.order import Order, clone
from bench.records import PARTITIONS, SIZES, Events, Expected, produce
from lake_platform.embedded.broker import Broker
from lake_platform.embedded.jars import ensure_jars
from lake_platform.embedded.java import java_home

_WORKER_SECONDS = 1_200
_OTHERS_SECONDS = 900
_WARM_RECORDS = 50_000
_LARGE_RECORDS = 500_000
BASE_SHARE = 2  # half of an upsert table is there before the timed batch


class RunFailedError(Exception):
    """A worker failed, or its audit did; says what it wrote last."""


@dataclass
class Stage:
    """Topics are made once, when a row first asks for them."""

    broker: Broker
    work: Path
    jars: Path
    records: int
    load_records: int
    say: Callable[[str], None] = lambda _: None
    _topics: dict[str, Expected] = field(default_factory=dict)
    _prepared: dict[str, tuple[Path, int]] = field(default_factory=dict)
    _runs: int = 0

    def topic(self, name: str) -> tuple[str, Expected]:
        """`A`, `B`: by the size of the records; for phase 2 `load`: A, `warm`: a little of it,
        `large`: 500 MB of B."""
        topic = f"events-{name.lower()}"
        if topic not in self._topics:
            warm = min(_WARM_RECORDS, self.load_records // 4)
            large = min(_LARGE_RECORDS, self.records)
            counts = {"load": self.load_records, "warm": warm, "large": large}
            count = counts.get(name, self.records)
            shape = {"large": "B"}.get(name, name if name in SIZES else "A")
            events = Events(shape, spread_over=count)
            self.say(f"producing {count:,} records to {topic}")
            self.create(topic)
            self._topics[topic] = produce(self.broker.bootstrap, topic, events, count)
        return topic, self._topics[topic]

    def create(self, name: str) -> None:
        from confluent_kafka.admin import AdminClient
        from confluent_kafka.cimpl import NewTopic

        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap})
        admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(timeout=20)

    def order(self, topic: str, expected: Expected, **more: Any) -> Order:
        self._runs += 1
        return Order(
            home=str(self.work / f"run-{self._runs}"),
            bootstrap=self.broker.bootstrap,
            jars=str(self.jars),
            topic=topic,
            expected=expected,
            **more,
        )

    def prepared(self, kind: str, source: str = "load") -> tuple[Path, Order]:
        """A home with everything dumped and nothing loaded, and the order of a run on a copy. For
        upsert tables `load` is the topic of updates, in two dumps."""
        warm_topic, warm = self.topic("warm")
        updates = kind == "upsert" and source == "load"
        topic = "events-updates" if updates else self.topic(source)[0]
        name = f"{kind}-{source}"
        home = self.work / f"prepared-{name}"
        if name not in self._prepared:
            order = self.order(topic, Expected(), kind=kind, warm_topic=warm_topic)
            order = replace(order, home=str(home))
            self._prepared[name] = home, self._prepare(order) if updates else 0
            if not updates:
                self.run("prepare", order)
        base_seq = self._prepared[name][1]
        return home, self.order(
            topic, self._topics[topic], kind=kind, warm_topic=warm_topic, warm=warm,
            base_seq=base_seq,
        )  # fmt: skip

    def updates(self) -> tuple[str, Expected]:
        """The topic in which every tenth record updates an earlier one."""
        self.prepared("upsert")
        return "events-updates", self._topics["events-updates"]

    def _prepare(self, order: Order) -> int:
        """Two dumps, so that a raw commit ends where the base of the table ends."""
        events = Events(update_share=0.1, spread_over=self.load_records)
        self.create(order.topic)
        self.say(f"producing {self.load_records:,} records to {order.topic}")
        base = self.load_records // BASE_SHARE
        produce(self.broker.bootstrap, order.topic, events, base)
        base_seq = self.run("prepare", order)
        rest = self.load_records - base
        self._topics[order.topic] = produce(self.broker.bootstrap, order.topic, events, rest)
        self.run("prepare", order)
        return int(base_seq)

    def run(self, task: str, order: Order, prepared: Path | None = None) -> Any:
        """One worker to its end; what it wrote is removed afterwards, unless others read it.

        Raises: RunFailedError.
        """
        home = Path(order.home)
        if prepared is not None:
            clone(prepared, home)
        home.mkdir(parents=True, exist_ok=True)
        _wait_for_other_sparks()
        log = self.work / f"{task}-{home.name}.log"
        command = [sys.executable, "-m", "bench.worker", task, order.to_json()]
        try:
            with log.open("wb") as stderr:
                done = subprocess.run(
                    command, stdout=subprocess.PIPE, stderr=stderr, timeout=_WORKER_SECONDS,
                    check=False, env=self._environment(),
                )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise RunFailedError(f"{task}: no end after {_WORKER_SECONDS} s") from None
        finally:
            if task != "prepare":
                shutil.rmtree(home, ignore_errors=True)
        lines = done.stdout.decode(errors="replace").strip().splitlines()
        if done.returncode or not lines:
            said = log.read_text(errors="replace").strip().splitlines()
            raise RunFailedError(f"{task}: {said[-1] if said else 'no result'} ({log.name})")
        return json.loads(lines[-1])

    def _environment(self) -> dict[str, str]:
        """As after an installation: modules are compiled by the first worker that needs them."""
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        return kept | {"PYTHONPYCACHEPREFIX": str(self.work / "compiled")}


@contextmanager
def open_stage(
    work: Path, jars: Path, records: int, load_records: int, say: Callable[[str], None]
) -> Iterator[Stage]:
    """Starts a broker for the run; everything under `work` is gone afterwards, but for logs."""
    kafka = ensure_jars(jars, ["kafka", "spark"])[0].directory
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    with Broker(work / "kafka", jars=kafka, java_home=java_home(), heap="1g") as broker:
        yield Stage(broker, work, jars, records, load_records, say)
    for path in work.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _wait_for_other_sparks() -> None:
    """Two Sparks on one machine measure each other. Raises: RunFailedError."""
    deadline = time.monotonic() + _OTHERS_SECONDS
    while time.monotonic() < deadline:
        if not any("org.apache.spark.deploy.SparkSubmit" in _arguments(p) for p in _processes()):
            return
        time.sleep(1.0)
    raise RunFailedError(f"another Spark has been running for {_OTHERS_SECONDS} s")


def _processes() -> Iterator[psutil.Process]:
    return psutil.process_iter()


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
