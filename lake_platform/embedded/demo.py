"""The demo: produce real records, register two datasets, hold the tables against what was sent."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from lake_platform.embedded import demo_data
from lake_platform.embedded.demo_data import Event
from lake_platform.errors import KafkaUnavailableError, LakeError
from lake_platform.settings import Settings

_FLIGHTS: Mapping[str, Any] = {
    "mode": "upsert",
    "format": "hudi",
    "primary_key": ["flight_date", "flight_id"],
    "partition_by": ["flight_date"],
    "buckets": 1,
    "domain": "aviation",
    "owner": "ops@example.com",
    "description": "Newest state of every flight that left New York City in 2013",
    "rules": [{"column": "distance", "not_null": True, "min": 1}],
}
_WEATHER: Mapping[str, Any] = {
    "mode": "append",
    "format": "parquet",
    "domain": "aviation",
    "owner": "ops@example.com",
    "description": "Hourly weather at the three airports",
    "transforms": [{"sql": "SELECT *, temp >= 80 AS hot FROM input"}],
    "rules": [{"column": "humid", "min": 0, "max": 100}],
}
_WEATHER_SHARE = 12
_HTTP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Round:
    """The topics and tables of one demo: `flights`, `weather`; in the second run on the same stack
    `flights_2`, `weather_2`, and so on. A topic and its table have the same name."""

    number: int

    @property
    def flights(self) -> str:
        return self._named("flights")

    @property
    def weather(self) -> str:
        return self._named("weather")

    @property
    def definitions(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        return (
            {"topic": self.flights, "table": self.flights, **_FLIGHTS},
            {"topic": self.weather, "table": self.weather, **_WEATHER},
        )

    def _named(self, name: str) -> str:
        return name if self.number == 1 else f"{name}_{self.number}"


@dataclass
class Sent:
    """What one topic was sent. `state`: last status per key; `broken`: number of bad records."""

    records: int = 0
    broken: int = 0
    state: dict[str, str] = field(default_factory=dict)
    values: Counter[bytes] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One table against what was sent; `lost` and `duplicated` count records or keys."""

    table: str
    sent: int
    rows: int
    merged: int
    quarantined: int
    lost: int
    duplicated: int

    @property
    def sound(self) -> bool:
        return self.lost == 0 and self.duplicated == 0


def open_round(settings: Settings) -> Round:
    """The first round whose topics are not there yet, after they were created.

    Raises: KafkaUnavailableError.
    """
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap, "log_level": 3})
    try:
        known = admin.list_topics(timeout=_HTTP_SECONDS).topics
        free = (r for r in map(Round, count(1)) if not known.keys() & {r.flights, r.weather})
        chosen = next(free)
        wanted = [NewTopic(chosen.flights, 4, 1), NewTopic(chosen.weather, 2, 1)]
        for future in admin.create_topics(wanted).values():
            future.result()
    except KafkaException as error:
        raise KafkaUnavailableError(f"creating the topics of the demo: {error}") from error
    return chosen


def produce(
    settings: Settings, chosen: Round, records: int, on_sent: Callable[[str, int], None]
) -> dict[str, Sent]:
    """Sends flights and weather; `on_sent(topic, total)` along the way. Returns topic -> Sent."""
    now = int(time.time() * 1000)
    events = demo_data.flight_events(records)
    flights, weather = Sent(), Sent()
    _send(settings, chosen.flights, events, now, flights, on_sent)
    for event in events:
        flights.state[event.key.decode()] = orjson.loads(event.value)["status"]
    hours = demo_data.weather_events(max(24, records // _WEATHER_SHARE))
    broken = [Event(hours[-1].at, b"broken", value) for value in demo_data.BROKEN]
    _send(settings, chosen.weather, [*hours, *broken], now, weather, on_sent)
    weather.values.update(e.value for e in hours)
    weather.broken = len(broken)
    return {chosen.flights: flights, chosen.weather: weather}


def register(settings: Settings, definition: Mapping[str, Any]) -> None:
    """Raises: LakeError with what the API answered."""
    import httpx

    url = f"http://{settings.api_host}:{settings.api_port}/datasets"
    answer = httpx.post(url, json=dict(definition), timeout=_HTTP_SECONDS)
    if answer.status_code >= 400:
        raise LakeError(f"POST /datasets answered {answer.status_code}: {answer.text[:500]}")


def stats(settings: Settings, table: str) -> dict[str, Any]:
    """The dataset's progress as the API tells it."""
    import httpx

    url = f"http://{settings.api_host}:{settings.api_port}/datasets/{table}/stats"
    answer = httpx.get(url, timeout=_HTTP_SECONDS)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def check_flights(
    settings: Settings, table: str, sent: Sent, progress: Mapping[str, Any]
) -> Verdict:
    """Per key the last event sent, read by another engine than the one that wrote."""
    from hudi import HudiTableBuilder

    root = table_dir(settings, table)
    rows = 0
    seen: set[Any] = set()
    lost = 0
    for batch in HudiTableBuilder.from_base_uri(str(root)).build().read():
        names = batch.column("flight_id").to_pylist()
        states = batch.column("status").to_pylist()
        rows += len(names)
        for name, status in zip(names, states, strict=True):
            lost += sent.state.get(str(name)) != status
        seen.update(names)
    # A key of two batches was written twice: `records` counts its update too.
    merged = int(progress["deduplicated"]) + int(progress["records"]) - rows
    return Verdict(
        table, sent.records, rows, merged,
        int(progress["quarantined"]), lost + len(sent.state.keys() - seen), rows - len(seen),
    )  # fmt: skip


def check_weather(
    settings: Settings, table: str, sent: Sent, progress: Mapping[str, Any]
) -> Verdict:
    """Every value once, and each Kafka coordinate once."""
    import pyarrow.dataset as ds

    held = ds.dataset(table_dir(settings, table), format="parquet", partitioning="hive")
    names = [n for n in held.schema.names if not n.startswith("_kafka_")]
    content = held.to_table(columns=[*names, "_kafka_partition", "_kafka_offset"])
    rows = content.to_pylist()
    places = {(r.pop("_kafka_partition"), r.pop("_kafka_offset")) for r in rows}
    found = Counter(_identity(r) for r in rows)
    wanted = Counter({_identity(_stepped(orjson.loads(v))): n for v, n in sent.values.items()})
    quarantined = int(progress["quarantined"])
    missing = (wanted - found).total() + max(0, sent.broken - quarantined)
    doubled = len(rows) - len(places) + max(0, quarantined - sent.broken)
    return Verdict(table, sent.records, len(rows), 0, quarantined, missing, doubled)


def accounted(progress: Mapping[str, Any]) -> int:
    """Records whose place is decided: in the table, replaced, deleted, dropped or quarantined."""
    parts = ("records", "deduplicated", "deleted", "dropped", "quarantined")
    return sum(int(progress[name]) for name in parts)


def _stepped(value: dict[str, Any]) -> dict[str, Any]:
    """As the step of the weather makes it."""
    temp = value.get("temp")
    return {**value, "hot": None if temp is None else temp >= 80}


def _identity(row: Mapping[str, Any]) -> str:
    return orjson.dumps(
        {k: v for k, v in row.items() if v is not None}, option=orjson.OPT_SORT_KEYS
    ).decode()


def on_disk(settings: Settings) -> bool:
    """Whether the tables can be held against what was sent; elsewhere an audit counts them."""
    return urlsplit(settings.storage_root).scheme == "file"


def table_dir(settings: Settings, table: str) -> Path:
    return Path(unquote(urlsplit(settings.storage_root).path)) / "lake" / table


def _send(
    settings: Settings,
    topic: str,
    events: Sequence[Event],
    now: int,
    sent: Sent,
    on_sent: Callable[[str, int], None],
) -> None:
    from confluent_kafka import Producer

    producer = Producer(
        {
            "bootstrap.servers": settings.kafka_bootstrap,
            "enable.idempotence": True,
            "linger.ms": 50,
            "compression.type": "lz4",
            "log_level": 3,  # else it tells of retries while the broker warms up
        }
    )
    failed: list[str] = []

    def delivered(error: object, _message: object) -> None:
        if error is not None:
            failed.append(str(error))

    stamps = demo_data.timestamps(events, now)
    for number, (event, at) in enumerate(zip(events, stamps, strict=True), 1):
        while True:
            try:
                producer.produce(
                    topic, key=event.key, value=event.value, timestamp=at, on_delivery=delivered
                )
                break
            except BufferError:
                producer.poll(0.1)
        if number % 10_000 == 0:
            producer.poll(0)
            on_sent(topic, number)
    if producer.flush(120) or failed:
        why = failed[0] if failed else "timed out"
        raise KafkaUnavailableError(f"producing to {topic!r} failed: {why}")
    sent.records = len(events)
    on_sent(topic, len(events))
