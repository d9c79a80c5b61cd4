"""A table and what is sent to it, told in three acts that faults are put into."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lake_platform.domain.storage import ObjectStore
from lake_platform.maintain.cleaner import compact_log
from tests.support import HOUR_MS, Lab, infer_now

MODES: dict[str, dict[str, Any]] = {
    "append": {},
    "upsert": {"mode": "upsert", "primary_key": ("id",)},
}
KINDS = MODES | {"parquet": {"format": "parquet"}}  # the others are Hudi tables, with Spark
PHASES = ("dump", "load", "clean")
BAD = "not one valid JSON document"
_ROUND, _KEYS, _TWO_DAYS_MS = 24, 7, 48 * HOUR_MS
_OLD = "raw/topic.t/2026/11/01/00/t-p0-0-3-0123456789ab.json.gz"


@dataclass
class Life:
    """`store` is where faults are met; `sound` looks at the same place past them."""

    home: Path
    mode: str
    store: ObjectStore
    sound: ObjectStore
    metastore_url: str = ""
    number: int = 0
    late: bool = False
    lab: Lab = field(init=False)

    def __post_init__(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        self.lab = Lab(self.home, self.metastore_url, store=self.store, now_ms=now_ms)
        self.lab.register(partitions=2, **KINDS[self.mode])
        self.send()
        infer_now(self.lab)

    def prepare(self, phase: str) -> None:
        """Everything before the phase that the fault is for, without one."""
        self.lab.cycle()
        self.send()
        if phase == "load":
            self.lab.dump()
        if phase == "clean":
            self.lab.cycle()
            self.sound.put(_OLD, b"left by a dump that died")
            self.lab.now_ms += _TWO_DAYS_MS

    def act(self, phase: str, **ports: Any) -> None:
        acts: dict[str, Callable[..., object]] = {
            "dump": self.lab.dump, "load": self.lab.load, "clean": self.clean,
        }  # fmt: skip
        acts[phase](**ports)

    def clean(self, **ports: Any) -> None:
        compact_log("t", self.lab.ports(**ports), keep_commits=1)

    def recover(self, phase: str, another: bool) -> None:
        """The retry: of the same process, or of `another` on the same machine after its end."""
        if another:
            self.lab.workers.crash()
        if phase == "clean":
            self.clean()
            assert self.sound.head(_OLD) is None, "the cleaner left an orphan"
        self.lab.cycle()
        self.send(new_column=True)
        self.lab.cycle()

    def account(self) -> None:
        """All that was sent is in one place, and the metastore tells the same."""
        self.lab.store = self.sound
        try:
            self.lab.account()
        finally:
            self.lab.store = self.store
        check_told(self.lab)

    def send(self, new_column: bool = False) -> None:
        """Inserts, updates, a delete, bad records, in two partitions and hours."""
        self.late |= new_column
        for number in range(self.number, self.number + _ROUND):
            self.lab.now_ms += 1
            ident = number % _KEYS
            value = {"id": ident, "n": number} | ({"late": str(number)} if self.late else {})
            self.lab.send(value, key=str(ident), partition=ident % 2)
        self.number += _ROUND
        self.lab.now_ms += 1
        self.lab.send(None, key=str(self.number % _KEYS), partition=self.number % _KEYS % 2)
        self.lab.send(b"{broken", reason=BAD)
        self.lab.send(b"{old", partition=1, reason=BAD, at_ms=self.lab.now_ms - HOUR_MS)


def check_told(lab: Lab, table: str = "t") -> None:
    """Progress and statistics are those of the log: everything was told, and once."""
    progress, sent = lab.metastore.progress(table), len(lab.sent[table])
    assert progress.applied_seq == progress.head_seq > 0, progress
    assert progress.records_ingested == sent, progress
    counted = (progress.records, progress.quarantined, progress.deleted, progress.deduplicated,
               progress.dropped)  # fmt: skip
    assert sum(counted) == sent, progress
