"""Partitions begin on the day on which data begins, and follow it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from assets import windows
from assets.jobs import DUMP_JOB, LOAD_JOB
from assets.translator import asset_key
from assets.windows import WINDOWS_TAG, Windows, windows_of
from lake_platform.domain.progress import Progress
from lake_platform.domain.windows import EARLIEST_MS, FIRST_WINDOW
from sensors.known import Known
from sensors.phases import load_sensor
from tests.dagster.fakes import (
    HOUR_MS,
    START_MS,
    FakePlatform,
    World,
    definitions,
    fake_platform,
)
from tests.dagster.test_phases import marked, run
from tests.dagster.test_sensors import Ticks, dumped

DAY_MS = 24 * HOUR_MS
TODAY, LAST_MONTH = "2026-11-01-00:00", "2026-10-02-00:00"


@pytest.fixture
def reloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where partitions began when Dagster was asked to reload."""
    told: list[str] = []
    monkeypatch.setattr(windows, "_asked_for", set())
    monkeypatch.setattr(FakePlatform, "reload", lambda self: told.append(self.first_window))
    return told


def begin(world: World) -> str:
    """Of a code location that is loaded now."""
    graph = definitions(world).resolve_asset_graph()
    firsts: set[Any] = set()
    for layer in ("raw", "lake", "quarantine"):
        partitions = graph.get(asset_key(layer, "orders")).partitions_def
        assert partitions is not None
        firsts.add(partitions.get_first_partition_key())
    [first] = firsts
    return str(first)


def test_the_oldest_data_of_all_counts() -> None:
    now = START_MS + 5 * HOUR_MS
    none, new, old = (replace(Progress(), begins_at=at) for at in (0, now, now - 30 * DAY_MS))
    assert windows_of([], now) == windows_of([none], now) == Windows(FIRST_WINDOW)
    assert windows_of([none, new], now).first == TODAY
    assert windows_of([new, old], now).first == LAST_MONTH
    assert windows_of([replace(old, begins_at=EARLIEST_MS), new], now).first == FIRST_WINDOW
    # A producer's clock that is fast: else there would be no partition until then.
    assert windows_of([replace(new, begins_at=now + DAY_MS)], now).first == TODAY


def test_they_begin_with_the_first_dump_and_move_for_older_records(
    world: World, instance: dg.DagsterInstance, reloads: list[str]
) -> None:
    world.register("orders")
    assert begin(world) == FIRST_WINDOW
    world.produce("orders", {"id": 1})
    run(world, instance, DUMP_JOB, "orders")
    assert reloads == [FIRST_WINDOW]
    assert begin(world) == TODAY
    run(world, instance, LOAD_JOB, "orders")
    assert reloads == [FIRST_WINDOW], "what was asked for once is not asked for again"

    world.first_window = TODAY  # reloaded
    world.produce("orders", {"id": 2})
    run(world, instance, DUMP_JOB, "orders")
    assert len(reloads) == 1
    world.produce("orders", {"id": 3}, at_ms=START_MS - 29 * DAY_MS)
    run(world, instance, DUMP_JOB, "orders")
    run(world, instance, LOAD_JOB, "orders")
    assert reloads == [FIRST_WINDOW, TODAY]
    late = "2026-10-03-00:00"
    assert late not in marked(instance, "raw", "orders") | marked(instance, "lake", "orders")

    world.first_window = begin(world)
    assert world.first_window == late
    events = Ticks(world, instance, load_sensor(["orders"])).tick().asset_events
    told = {(e.asset_key.path[0], getattr(e, "partition", "")) for e in events}
    assert told == {("raw", late), ("lake", late)}


def test_what_a_shell_dumped_shows_after_the_next_run(
    world: World, instance: dg.DagsterInstance, reloads: list[str]
) -> None:
    """The process of a run is younger than that of the sensor, and knows the new first window."""
    world.register("orders")
    world.first_window = TODAY
    world.produce("orders", {"id": 1}, at_ms=START_MS - 29 * DAY_MS)
    dumped(world, "orders")
    [asked] = Ticks(world, instance, load_sensor(["orders"])).tick().run_requests or []
    assert asked.tags[WINDOWS_TAG] == TODAY
    world.first_window = begin(world)
    assert world.first_window < TODAY
    run(world, instance, LOAD_JOB, "orders", partition_key=asked.partition_key, tags=asked.tags)
    assert len(reloads) == 1


def test_a_tick_knows_where_they_begin(world: World) -> None:
    world.first_window = TODAY
    assert Known.read(fake_platform(world), []).windows == Windows(TODAY)
