"""Small charts as SVG paths, in a box of a fixed size; the page that shows them names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lake_platform.metastore.overview import Standing
from lake_platform.metastore.samples import SLOT_MS, SLOTS, Sample

WIDTH, HEIGHT = 240, 56  # half a pixel is a unit
DAY_MS = SLOT_MS * SLOTS
_SHORTEST_MS = SLOT_MS


@dataclass(frozen=True, slots=True)
class Line:
    """`path` is the line, `area` what is under it; empty without two points. `limit`: height of the
    promise in the box, None without one."""

    path: str
    area: str
    now: float
    most: float
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Sparklines:
    """Of the last day, or as far back as is known: records a second into raw, seconds of lag."""

    throughput: Line
    lag: Line


def sparklines(standing: Standing, samples: Sequence[Sample], now_ms: int) -> Sparklines:
    """The last lag is that of now: a table of which nobody reports gets later all the same."""
    lag, begun = standing.lag_seconds(now_ms), standing.registered_at
    young = begun > now_ms - DAY_MS
    late = [(begun, 0.0)] if young else []
    late += [(s.at, s.lag_ms / 1000) for s in samples] + [(now_ms, lag)]
    ingested = [(begun, 0)] if young else []
    ingested += [(s.at, s.records_ingested) for s in samples]
    if not samples or now_ms - samples[-1].at > SLOT_MS:
        ingested.append((now_ms, standing.progress.records_ingested))
    rates = [
        (at, max(0, after - before) * 1000 / (at - since))
        for (since, before), (at, after) in pairwise(ingested)
        if at > since
    ]
    since = max(min(late[0][0], now_ms - _SHORTEST_MS), now_ms - DAY_MS)
    promise = float(standing.max_lag_seconds)
    return Sparklines(line(rates, since, now_ms), line(late, since, now_ms, promise))


def line(
    points: Sequence[tuple[int, float]], since_ms: int, now_ms: int, promise: float | None = None
) -> Line:
    """From `since_ms` at the left to now at the right."""
    values = [value for _, value in points]
    now, most = (values[-1], max(values)) if values else (0.0, 0.0)
    top = max(most, promise or 0.0) or 1.0

    def height(value: float) -> int:
        return round(HEIGHT - 2 - value / top * (HEIGHT - 6))

    limit = None if promise is None else height(promise)
    if len(points) < 2:
        return Line("", "", now, most, limit)
    places = [
        (round(max(0.0, (at - since_ms) / (now_ms - since_ms)) * WIDTH), height(value))
        for at, value in points
    ]
    path = "M" + "L".join(f"{x} {y}" for x, y in places)
    area = f"{path}L{places[-1][0]} {HEIGHT}L{places[0][0]} {HEIGHT}Z"
    return Line(path, area, now, most, limit)
