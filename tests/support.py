"""A laboratory: both phases over memory ports, and an account of every record produced.

`Lab.account` is separate from the code under test: it parses raw lines, quarantine objects and
keys itself, and knows from the test which records were sent bad.
"""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import event

from lake_platform.adapters.memory.engine import MemoryEngine
from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.batches import Worker
from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.mapping import Path as Path_
from lake_platform.domain.offsets import RawCommit, Slice
from lake_platform.domain.ports import TableEngine
from lake_platform.domain.schema import Struct
from lake_platform.domain.storage import ObjectStore
from lake_platform.dump.dump import dump
from lake_platform.load.load import load
from lake_platform.load.results import LoadResult
from lake_platform.metastore.engine import open_engine
from lake_platform.metastore.repository import Repository, open_repository
from lake_platform.raw import log as raw_log
from lake_platform.sight.infer import look
from tests.equivalence import difference

HOUR_MS = 3_600_000
NOW_MS = 1_793_491_200_000  # 2026-11-01 00:00 UTC
Coordinates = tuple[int, int]
ReadRows = Callable[[Dataset], list[dict[str, Any]]]


class FakeWorkers:
    """Writers by name: `current` is us, those in `dead` have ended, those in `unknown` are on a
    host we cannot see."""

    def __init__(self) -> None:
        self.current = Worker("here", 1, 0.0)
        self.dead: set[Worker] = set()
        self.unknown: set[Worker] = set()

    def me(self) -> Worker:
        return self.current

    def alive(self, worker: Worker) -> bool | None:
        if worker in self.unknown:
            return None
        # An earlier try of this very process has ended.
        return worker not in self.dead and worker != self.current

    def crash(self) -> None:
        """The current writer dies; another process takes its place."""
        self.dead.add(self.current)
        self.current = replace(self.current, pid=self.current.pid + 1)


@dataclass(frozen=True)
class Sent:
    """A produced record; `reason` is the verdict the test expects, empty for a sound one."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    reason: str

    @property
    def at(self) -> Coordinates:
        return self.partition, self.offset


@dataclass
class Lab:
    """`sent` maps a table to what was sent to its topic. `metastore_url`: a database that is there,
    instead of a SQLite file in `home`."""

    home: Path
    metastore_url: str = ""
    kafka: MemoryKafka = field(default_factory=MemoryKafka)
    store: ObjectStore = field(default_factory=lambda: open_store("memory:///"))
    limits: Limits = field(default_factory=lambda: Limits(slice=Slice(1 << 20, 1_000)))
    now_ms: int = NOW_MS

    def __post_init__(self) -> None:
        self.metastore = self._open_metastore()
        self.workers = FakeWorkers()
        self.engine: TableEngine = MemoryEngine(self.store)
        self.read_rows: ReadRows = lambda d: MemoryEngine(self.store).rows(d)
        self.sent: dict[str, list[Sent]] = {}

    def _open_metastore(self) -> Repository:
        if self.metastore_url:
            return open_repository(self.metastore_url, lambda: self.now_ms)
        path = self.home / "metastore.db"
        shutil.copy(migrated_metastore(), path)
        database = open_engine(f"sqlite:///{path}")
        # No test pulls the plug of the machine.
        event.listen(database, "connect", lambda c, _: c.execute("PRAGMA synchronous=OFF"))
        return Repository(database, lambda: self.now_ms)

    def ports(self, **other: Any) -> Ports:
        engine = other.pop("engine", None) or self.engine
        return Ports(**{
            "kafka": self.kafka, "store": self.store, "metastore": self.metastore,
            "engine": lambda f: {"hudi": engine, "parquet": engine}[f],
            "clock": lambda: self.now_ms, "workers": self.workers,
            **other,
        })  # fmt: skip

    def register(
        self, table: str = "t", *, partitions: int = 1, source: Struct | None = None, **values: Any
    ) -> Dataset:
        """Registers; schema version 1 comes with `source`, `infer`, or the first load."""
        dataset = Dataset(topic=f"topic.{table}", table=table, **values)
        self.kafka.create_topic(dataset.topic, partitions)
        self.metastore.register(dataset, source, "test")
        self.sent[table] = []
        return dataset

    def send(
        self,
        value: Any,
        *,
        key: bytes | str | None = None,
        table: str = "t",
        partition: int = 0,
        at_ms: int | None = None,
        reason: str = "",
        headers: Sequence[tuple[str, bytes | None]] | None = None,
    ) -> Sent:
        """`value`: bytes as they are, None a tombstone, anything else as JSON."""
        data = value if isinstance(value, bytes | None) else json.dumps(value).encode()
        name = key.encode() if isinstance(key, str) else key
        moment = self.now_ms if at_ms is None else at_ms
        offset = self.kafka.produce(
            f"topic.{table}", name, data, partition=partition, timestamp_ms=moment, headers=headers
        )
        record = Sent(partition, offset, moment, name, data, reason)
        self.sent[table].append(record)
        return record

    def send_all(self, values: Iterable[Any], **where: Any) -> None:
        for value in values:
            self.send(value, **where)

    def close(self) -> None:
        self.metastore.close()

    def dump(self, table: str = "t", **ports: Any) -> list[RawCommit]:
        return list(dump(table, self.ports(**ports), self.limits))

    def load(
        self, table: str = "t", *, replay: Sequence[str] = (), **ports: Any
    ) -> list[LoadResult]:
        windows = list(replay) or None
        return list(load(table, self.ports(**ports), self.limits, windows, bool(replay)))

    def cycle(self, table: str = "t", **ports: Any) -> list[LoadResult]:
        self.dump(table, **ports)
        return self.load(table, **ports)

    def dataset(self, table: str = "t") -> Dataset:
        return self.metastore.get(table).dataset

    def rows(self, table: str = "t") -> list[dict[str, Any]]:
        rows = self.read_rows(self.dataset(table))
        return sorted(rows, key=lambda r: (r["_kafka_partition"], r["_kafka_offset"]))

    def plain_rows(self, table: str = "t") -> list[dict[str, Any]]:
        """Rows less the technical columns."""
        return [
            {c: v for c, v in row.items() if not c.startswith(("_kafka", "_hoodie", "_lake_key"))}
            for row in self.rows(table)
        ]

    def quarantined(self, table: str = "t") -> list[dict[str, Any]]:
        return list(quarantine_of(self.store, table))

    def account(self, table: str = "t") -> None:
        """Fails unless every record that was sent is in exactly one of table, quarantine, dropped,
        as it was sent."""
        sent, dataset = self.sent[table], self.dataset(table)
        check_raw(self.store, table, sent)
        check_quarantine(self.store, table, expected_quarantine(dataset, sent))
        rows = self.read_rows(dataset)
        active = self.metastore.active_schema(table)
        source = active.source if active else None
        if dataset.mode == "append":
            check_append(rows, sent, source, dropped_by(dataset))
        else:
            check_upsert(dataset, rows, sent, source)


@cache
def migrated_metastore() -> Path:
    path = Path(tempfile.mkdtemp(prefix="lake-lab-")) / "metastore.db"
    open_repository(f"sqlite:///{path}", lambda: NOW_MS).close()
    return path


def infer_now(lab: Lab, table: str = "t") -> None:
    """Schema version 1 from what the topic holds, as registration takes it."""
    sight = look(lab.kafka, lab.dataset(table)).sight
    assert sight is not None
    lab.metastore.add_schema_version(
        table, 0, sight.source, sight.source, ["test"], mapped=sight.mapped
    )


def raw_lines(store: ObjectStore, commits: Iterable[RawCommit]) -> list[dict[str, Any]]:
    lines = []
    for raw in (o for c in commits for o in c.objects):
        text = gzip.decompress(store.get(raw.key))
        lines += [json.loads(line) for line in text.split(b"\n")[:-1]]
    return lines


def quarantine_of(store: ObjectStore, table: str) -> Iterable[dict[str, Any]]:
    for info in store.list(f"quarantine/{table}/"):
        for line in gzip.decompress(store.get(info.key)).splitlines():
            yield json.loads(line)


def value_sent(line: Mapping[str, Any]) -> tuple[str, Any]:
    """What a raw line says was sent: bytes for a rejected value, else the parsed value."""
    if "value_bytes" in line:
        return "bytes", base64.b64decode(line["value_bytes"])
    return ("tombstone", None) if line.get("tombstone") else ("json", line["value"])


def _expected_value(record: Sent) -> tuple[str, Any]:
    if record.value is None:
        return "tombstone", None
    try:
        parsed = json.loads(record.value)
    except (ValueError, RecursionError):
        return "bytes", record.value
    return ("json", parsed) if isinstance(parsed, dict) else ("bytes", record.value)


def check_raw(store: ObjectStore, table: str, sent: Sequence[Sent]) -> None:
    """The log holds each record once, as it was sent; every object it names is there."""
    lines = raw_lines(store, raw_log.commits_after(store, table, 0))
    found = Counter((line["partition"], line["offset"]) for line in lines)
    _same(found, Counter(r.at for r in sent), "raw")
    by_place = {r.at: r for r in sent}
    for line in lines:
        record = by_place[line["partition"], line["offset"]]
        kind, value = value_sent(line)
        expected = _expected_value(record)
        # Parsers may differ on what Python takes for JSON (NaN, 1e400): bytes must match then.
        assert (kind, value) == expected or (kind, value) == ("bytes", record.value), record
        assert line["timestamp"] == record.timestamp


def expected_quarantine(dataset: Dataset, sent: Iterable[Sent]) -> dict[Coordinates, str]:
    expected = {r.at: r.reason for r in sent if r.reason}
    if dataset.mode == "append" and dataset.tombstones == "quarantine":
        expected |= {r.at: "tombstone in an append table" for r in sent if r.value is None}
    return expected


def check_quarantine(store: ObjectStore, table: str, expected: Mapping[Coordinates, str]) -> None:
    held = [
        ((r["record"]["partition"], r["record"]["offset"]), r["reason"])
        for r in quarantine_of(store, table)
    ]
    _same(Counter(held), Counter(expected.items()), "quarantine")


def check_append(
    rows: Sequence[Mapping[str, Any]],
    sent: Sequence[Sent],
    source: Struct | None = None,
    dropped: Iterable[Path_] = (),
) -> None:
    """Without `source` columns are named as the keys of the records."""
    expected = {r.at: r for r in sent if r.value is not None and not r.reason}
    found = Counter((row["_kafka_partition"], row["_kafka_offset"]) for row in rows)
    _same(found, Counter(expected.keys()), "table")
    for row in rows:
        record = expected[row["_kafka_partition"], row["_kafka_offset"]]
        _holds(row, record.value or b"", source, dropped)


def dropped_by(dataset: Dataset) -> list[Path_]:
    return [path for path, hint in dataset.hints.paths() if hint.drop]


def check_upsert(
    dataset: Dataset,
    rows: Sequence[Mapping[str, Any]],
    sent: Sequence[Sent],
    source: Struct | None = None,
) -> None:
    """Keys must not move between partitions within one timestamp for this to be decidable."""
    last: dict[Any, dict[str, Any]] = {}
    texts: dict[Any, bytes] = {}
    for record in sorted(sent, key=lambda r: (r.timestamp, r.partition, r.offset)):
        if record.reason:
            continue
        if record.value is None:
            last.pop(_tombstone_key(dataset, record.key), None)
            continue
        value = json.loads(record.value)
        key = tuple(value[c] for c in dataset.primary_key)
        field_ = dataset.ordering_field
        if field_ and key in last and last[key][field_] > value[field_]:
            continue
        last[key], texts[key] = value, record.value
    found = Counter(tuple(row[c] for c in dataset.primary_key) for row in rows)
    _same(found, Counter(last.keys()), "table")
    for row in rows:
        _holds(row, texts[tuple(row[c] for c in dataset.primary_key)], source)


def _tombstone_key(dataset: Dataset, key: bytes | None) -> tuple[Any, ...]:
    text = (key or b"").decode()
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = text
    if isinstance(parsed, dict):
        return tuple(parsed[c] for c in dataset.primary_key)
    return (parsed,)


_OURS = ("_kafka_", "_hoodie_", "_lake_key")


def _holds(
    row: Mapping[str, Any],
    text: bytes,
    source: Struct | None,
    dropped: Iterable[Path_] = (),
) -> None:
    """The row and what of the record was rescued are the record, and there is nothing else."""
    if source is None:
        names = {n: v for n, v in row.items() if not n.startswith(_OURS)}
        assert _equal(names, json.loads(text)), (row, text)
        return
    why = difference(row, text, source, grown=True, dropped=dropped)
    assert not why, (why, row, text)
    more = {n for n, v in row.items() if v is not None and not n.startswith(_OURS)}
    assert more <= {f.name for f in source.fields}, (row, text)


def _equal(held: Any, sent: Any) -> bool:
    if isinstance(held, Mapping) and isinstance(sent, Mapping):
        return all(_equal(held.get(n), sent.get(n)) for n in {*held, *sent})
    if isinstance(held, list) and isinstance(sent, list):
        return len(held) == len(sent) and all(map(_equal, held, sent))
    return bool(held == sent) or (held is None and sent in ([], {}))


def _same(found: Counter[Any], expected: Counter[Any], place: str) -> None:
    lost, more = expected - found, found - expected
    assert not lost and not more, (
        f"{place}: lost {sorted(lost.items())[:5]}, doubled or alien {sorted(more.items())[:5]}"
    )


class Fault(BaseException):
    """What a trap raises for a kill: no error at all, so nothing may handle it."""


# What changes something outside. A kill anywhere else equals one at the next of these.
CHANGES = frozenset(
    ["put", "put_new", "delete", "move", "write", "fence", "undo", "add_schema_version", "block",
     "set_status", "update_progress", "record_batch", "report_offsets"]
)  # fmt: skip
STORE_CALLS = frozenset(["get", "put", "put_new", "list", "head", "delete", "move"])


@dataclass
class Trap:
    """Springs once, at call number `at` (from 1) of those in `calls`, before or after it."""

    at: int
    calls: frozenset[str] = CHANGES
    when: str = "before"
    error: BaseException = field(default_factory=lambda: Fault("killed here"))
    seen: int = 0
    where: str = ""

    def step(self, name: str, when: str) -> None:
        if name not in self.calls or when != self.when:
            return
        self.seen += 1
        if self.seen == self.at:
            self.where = f"{when} {name}"
            raise self.error


class Faulty:
    """A port whose calls pass the trap."""

    def __init__(self, trap: Trap, inner: Any) -> None:
        self._trap, self._inner = trap, inner

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._inner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._trap.step(name, "before")
            result = inner(*args, **kwargs)
            self._trap.step(name, "after")
            return result

        return call


def faulty_ports(lab: Lab, trap: Trap) -> dict[str, Any]:
    """The lab's ports with one trap over all of them; the engine's own storage calls count too."""
    store: Any = Faulty(trap, lab.store)
    engine = MemoryEngine(store) if isinstance(lab.engine, MemoryEngine) else lab.engine
    return {
        "kafka": Faulty(trap, lab.kafka),
        "store": store,
        "metastore": Faulty(trap, lab.metastore),
        "engine": Faulty(trap, engine),
    }
