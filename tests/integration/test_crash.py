"""kill -9 of the writer and its JVM at chosen moments; then one clean run, and the account."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lake_platform.adapters.object_store import open_store
from lake_platform.compose import build_metastore
from lake_platform.domain.dataset import Dataset
from lake_platform.embedded.jars import ensure_jars
from lake_platform.ingest import raw_log
from lake_platform.settings import load_settings
from tests.integration.real_kafka import RealKafka, hudi_rs_rows
from tests.support import (
    Sent,
    check_append,
    check_quarantine,
    check_raw,
    check_upsert,
    expected_quarantine,
)

if TYPE_CHECKING:
    from lake_platform.embedded.broker import Broker

pytestmark = [pytest.mark.stack, pytest.mark.spark, pytest.mark.timeout(600)]
_REPO = Path(__file__).parents[2]
_DEADLINE_SECONDS = 120.0


class Victim:
    """Starts the child, waits for a moment, kills its whole process group."""

    def __init__(self, home: Path, bootstrap: str, table: str, jars: Path, java: Path) -> None:
        self.home = home
        self._arguments = [str(home), bootstrap, table, str(jars)]
        self._environ = {**os.environ, "JAVA_HOME": str(java)}

    def run_once(self) -> None:
        process = self._start("once")
        try:
            assert process.wait(_DEADLINE_SECONDS) == 0, self._log()
        finally:
            self._kill(process)

    def kill_when(self, moment: Callable[[], bool], where: str = "-") -> None:
        (self.home / "standing").unlink(missing_ok=True)
        process = self._start(where)
        deadline = time.monotonic() + _DEADLINE_SECONDS
        try:
            while not moment():
                assert process.poll() is None, self._log()
                assert time.monotonic() < deadline, f"the moment did not come: {self._log()}"
                time.sleep(0.002)
        finally:
            self._kill(process)

    def stands(self) -> bool:
        return (self.home / "standing").exists()

    def _start(self, where: str) -> subprocess.Popen[bytes]:
        with (self.home / "child.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.integration.crash_child", *self._arguments, where],
                cwd=_REPO, env=self._environ, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)

    def _log(self) -> str:
        return (self.home / "child.log").read_text(errors="replace")[-3_000:]


def inflight(timeline: Path) -> set[str]:
    """Commits that were begun and are not completed."""
    names = [p.name for p in timeline.glob("*")] if timeline.is_dir() else []
    done = {n.split("_")[0] for n in names if "_" in n}
    return {n.split(".")[0] for n in names if n.endswith(".inflight")} - done


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_kills_lose_and_double_nothing(
    broker: Broker, jars_dir: Path, java_home: Path, tmp_path: Path, mode: str
) -> None:
    ensure_jars(jars_dir, ["spark"])
    table = f"t{uuid.uuid4().hex[:8]}"
    kafka = RealKafka(broker.bootstrap)
    kafka.create_topic(f"topic.{table}", 2)
    metastore = build_metastore(load_settings(tmp_path))
    dataset = Dataset(topic=f"topic.{table}", table=table, mode=mode, primary_key=("id",))  # type: ignore[arg-type]
    metastore.register(dataset, None, "test")
    metastore.close()
    sent: list[Sent] = []

    def send(key: bytes, value: bytes | None, partition: int, reason: str = "") -> None:
        now_ms = time.time_ns() // 1_000_000
        offset = kafka.produce(dataset.topic, key, value, partition=partition, timestamp_ms=now_ms)
        sent.append(Sent(partition, offset, now_ms, key, value, reason))

    def produce() -> None:
        first = len(sent)
        for number in range(first, first + 150):
            ident = number % 40
            value: dict[str, Any] = {"id": ident, "n": number, "text": "x" * 100}
            if len(sent) > 200:
                value["late"] = f"y{number}"
            send(b"%d" % ident, json.dumps(value).encode(), ident % 2)
        send(b"7", None, 1)
        send(b"", b"{broken", 0, "not one valid JSON document")

    victim = Victim(tmp_path, broker.bootstrap, table, jars_dir, java_home)
    timeline = tmp_path / "storage" / "lake" / table / ".hoodie" / "timeline"
    produce()
    victim.kill_when(victim.stands, "put_new@phase1/")  # the slice is uploaded, not committed
    victim.kill_when(lambda: bool(inflight(timeline)))  # inside the Hudi write
    produce()
    victim.kill_when(victim.stands, f"record_batch@{table}")  # committed, the metastore not told
    produce()
    known = inflight(timeline)
    victim.kill_when(lambda: bool(inflight(timeline) - known))
    victim.run_once()

    store = open_store((tmp_path / "storage").as_uri())
    check_raw(store, table, sent)
    check_quarantine(store, table, expected_quarantine(dataset, sent))
    rows = hudi_rs_rows(tmp_path / "storage" / "lake" / table)
    if mode == "append":
        check_append(rows, sent)
    else:
        check_upsert(dataset, [r for r in rows if not r.get("_hoodie_is_deleted")], sent)
    progress = build_metastore(load_settings(tmp_path)).progress(table)
    assert (
        progress.applied_seq == progress.head_seq == raw_log.commits_after(store, table, 0)[-1].seq
    )
