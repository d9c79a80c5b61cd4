"""One table under test: its topic, what was sent to it, and the lives of its writer."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from lake_platform.audit.auditor import audit
from lake_platform.code.pins import CodeBase, pinned
from lake_platform.compose import build_audit_sources, build_metastore
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.ports import Kafka
from lake_platform.domain.quality import Reason
from lake_platform.settings import load_settings
from lake_platform.sight.infer import look
from tests.integration.real_kafka import RealKafka
from tests.kills.account import check_everything, check_raw_files, check_topic
from tests.kills.kinds import KEYS, KINDS
from tests.kills.victim import DEADLINE_SECONDS, Stuck, Victim
from tests.support import HOUR_MS, Sent

LARGE = 1_000_000
_ROUND = 24
_HEARTBEAT_SECONDS = 4.0  # twice what `often` makes of it, and more


@dataclass(frozen=True)
class Site:
    """Where the broker is, and what a child needs to start."""

    bootstrap: str
    jars: Path
    java: Path
    home: Path


@dataclass
class TableUnderTest:
    """A table of one of `KINDS` in a home of its own, with the one whose raw it reads."""

    kind: str
    site: Site
    sent: list[Sent] = field(default_factory=list)
    columns: int = 0

    def __post_init__(self) -> None:
        self.table = f"{self.kind}_{uuid.uuid4().hex[:8]}"
        self.home = self.site.home / self.table
        self.home.mkdir(parents=True)
        self.what = KINDS[self.kind]
        topic = f"topic.{self.table}"
        self.dataset = Dataset(topic=topic, table=self.table, **self.what.definition)
        self.tables = [self.dataset]
        if self.what.reads_another:
            owner = Dataset(topic=topic, table=f"owner_{self.table}", format="parquet")
            self.dataset = replace(self.dataset, raw_from=owner.table)
            self.tables = [owner, self.dataset]
        for name, text in self.what.code.items():
            self.definitions.mkdir(exist_ok=True)
            (self.definitions / name).write_text(text)
        self._kafka = RealKafka(self.site.bootstrap)
        self._kafka.create_topic(self.dataset.topic, 2)
        self._now_ms = 0
        self.send_round()
        metastore = build_metastore(load_settings(self.home))
        for dataset in self.tables:
            sight = look(cast(Kafka, self._kafka), dataset).sight
            wanted = pinned(dataset, CodeBase(definitions=self.definitions))
            metastore.register(wanted, sight.source if sight else None, "test", sight)
        metastore.close()

    @property
    def definitions(self) -> Path:
        return self.home / "definitions"

    @property
    def storage(self) -> Path:
        return self.home / "storage"

    def live(self, *flags: str, place: str = "writer") -> Victim:
        """A new life of the writer."""
        site = self.site
        return Victim(self.home, place, site.bootstrap, site.jars, site.java, self.table, *flags)

    def send_round(self, new_column: bool = False) -> None:
        """Inserts, updates, two tombstones, and bad records of two hours; a column more if told."""
        self.columns += new_column
        first = len(self.sent)
        for number in range(first, first + _ROUND):
            row: dict[str, Any] = {"id": number % KEYS, "n": number, "day": f"d{number % 3}"}
            row |= {f"late{c}": f"y{number}" for c in range(self.columns)}
            self._send_value(number % KEYS, self.what.value(number, row))
        for ident in (first % KEYS, (first + 5) % KEYS):
            self._send(self.what.key(ident), None, ident % 2)
        for ident, value, reason in self.what.more(first):
            self._send_value(ident, value, reason)
        self._send(b"", b"{broken", 0, "not one valid JSON document")
        self._send(b"", b"{old", 1, "not one valid JSON document", HOUR_MS)

    def send_break(self) -> None:
        """A record that stops the table, until it is put aside by a decision."""
        row = {"id": 3, "n": {"no": "number"}, "day": "d1"}
        self._send_value(3, self.what.value(0, row), Reason.DECIDED.value)

    def send_large(self, count: int = 3) -> None:
        """Records that the rule of `strict` puts aside, and a re-drive takes out again."""
        for number in range(LARGE, LARGE + count):
            row = {"id": number % KEYS, "n": number, "day": f"d{number % 3}"}
            self._send_value(number % KEYS, self.what.value(number, row))

    def delete_all(self) -> None:
        """A tombstone for every key."""
        for ident in range(KEYS):
            self._send(self.what.key(ident), None, ident % 2)

    def account(self) -> None:
        """Fails unless nothing was lost or doubled, and the metastore knows it."""
        for dataset in self.tables:
            what = self.what if dataset is self.dataset else KINDS["parquet"]
            made = [what.becomes(s) for s in self.sent]
            check_everything(self.site.bootstrap, self.storage, dataset, self.sent, made)
            self._account_metastore(dataset.table, sum(len(some) > 1 for some in made))

    def _account_metastore(self, table: str, twice: int) -> None:
        """`twice`: so many records make a row and take another away, which counts unless a later
        record of its batch brings that back."""
        settings = load_settings(self.home)
        metastore = build_metastore(settings)
        try:
            progress = metastore.progress(table)
            assert progress.applied_seq == progress.head_seq, progress
            assert progress.records_ingested == len(self.sent), progress
            counted = (progress.records, progress.quarantined, progress.deleted,
                       progress.deduplicated, progress.dropped)  # fmt: skip
            batches = [b.balance for b in metastore.batches(table, 10_000) if b.counted]
            beside = sum(b.exploded for b in batches)
            assert sum(counted) == len(self.sent) + beside and beside <= twice, (beside, progress)
            if self.what.audited:
                here = settings.model_copy(update={"kafka_bootstrap": self.site.bootstrap})
                report = audit(table, build_audit_sources(here, metastore), deep=True)
                assert report.sound and not report.unprovable, report
                assert (report.total.records, report.total.pending) == (len(self.sent), 0), report
        finally:
            metastore.close()

    def account_raw(self) -> None:
        check_topic(self.site.bootstrap, self.dataset.topic, self.sent)
        check_raw_files(self.storage, self.dataset, self.sent)

    def wait_for_heartbeats(self) -> None:
        """Hudi goes over what a dead writer left when its heartbeat stopped long enough ago."""
        folder = self.storage / "lake" / self.table / ".hoodie" / ".heartbeat"
        deadline = time.monotonic() + DEADLINE_SECONDS
        while any(time.time() - p.stat().st_mtime < _HEARTBEAT_SECONDS for p in folder.glob("*")):
            if time.monotonic() > deadline:
                raise Stuck("heartbeats of the dead writer did not stop")
            time.sleep(0.05)

    def _send_value(self, ident: int, value: dict[str, Any], reason: str = "") -> None:
        self._send(self.what.key(ident), json.dumps(value).encode(), ident % 2, reason)

    def _send(
        self, key: bytes, value: bytes | None, partition: int, reason: str = "", ago_ms: int = 0
    ) -> None:
        # Strictly ascending, so that the last record of a key is known.
        self._now_ms = max(self._now_ms + 1, time.time_ns() // 1_000_000)
        stamp = self._now_ms - ago_ms
        offset = self._kafka.produce(
            self.dataset.topic, key, value, partition=partition, timestamp_ms=stamp
        )
        self.sent.append(Sent(partition, offset, stamp, key, value, reason))
