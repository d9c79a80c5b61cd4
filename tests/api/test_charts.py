"""The small charts of the dashboard."""

from __future__ import annotations

from dataclasses import replace

from lake_platform.api.pages.charts import DAY_MS, HEIGHT, WIDTH, sparklines
from lake_platform.domain.dataset import Status
from lake_platform.domain.progress import Progress
from lake_platform.metastore.overview import Standing
from lake_platform.metastore.samples import SLOT_MS, Sample

NOW = 3_000_000 * SLOT_MS
OLD = Standing("t", "t", "d", "", Status.LIVE, NOW - 9 * DAY_MS, 900, Progress(), 0)
CAUGHT_UP = replace(OLD, progress=Progress(complete_through=NOW, records_ingested=600))


def points(path: str) -> list[tuple[int, int]]:
    return [(int(x), int(y)) for x, y in (p.split() for p in path.removeprefix("M").split("L"))]


def test_rates_are_of_what_came_between_two_samples() -> None:
    samples = [
        Sample(NOW - 3 * SLOT_MS, 0, 0, 0), Sample(NOW - 2 * SLOT_MS, 600, 0, 0),
        Sample(NOW - 1000, 600, 0, 0),
    ]  # fmt: skip
    chart = sparklines(CAUGHT_UP, samples, NOW).throughput
    assert (chart.most, chart.now) == (1.0, 0.0)
    assert [x for x, _ in points(chart.path)] == [WIDTH // 3, WIDTH], "since the first"
    assert chart.limit is None


def test_a_table_of_which_nobody_reports_gets_later() -> None:
    held = replace(OLD, progress=Progress(complete_through=NOW - 7_200_000))
    chart = sparklines(held, [Sample(NOW - 7_200_000, 5, 5, 60_000)], NOW).lag
    assert (chart.now, chart.most) == (7200.0, 7200.0)
    (_, first), (x, last) = points(chart.path)
    assert (x, last < first) == (WIDTH, True)
    assert chart.limit is not None
    assert last < chart.limit < HEIGHT


def test_a_young_dataset_fills_its_chart() -> None:
    young = replace(CAUGHT_UP, registered_at=NOW - 2 * 3_600_000)
    charts = sparklines(young, [Sample(NOW - 3_600_000, 600, 600, 60_000)], NOW)
    assert [x for x, _ in points(charts.lag.path)] == [0, WIDTH // 2, WIDTH]
    assert [x for x, _ in points(charts.throughput.path)] == [WIDTH // 2, WIDTH]
    assert round(charts.throughput.most, 3) == 0.167


def test_what_is_older_than_a_day_is_at_the_edge() -> None:
    samples = [Sample(NOW - 2 * DAY_MS, 1, 1, 0), Sample(NOW - DAY_MS // 2, 2, 2, 0)]
    charts = sparklines(CAUGHT_UP, samples, NOW)
    assert [x for x, _ in points(charts.lag.path)] == [0, WIDTH // 2, WIDTH]


def test_without_samples_there_is_no_line_but_the_lag_of_now() -> None:
    charts = sparklines(OLD, [], NOW)
    assert (charts.lag.path, charts.throughput.path) == ("", "")
    assert charts.lag.now == 9 * DAY_MS / 1000
    assert charts.throughput.now == 0.0


def test_equal_times_and_falling_totals_give_no_rate() -> None:
    samples = [Sample(NOW - 5, 9, 9, 0), Sample(NOW - 5, 3, 3, 0), Sample(NOW, 1, 1, 0)]
    chart = sparklines(CAUGHT_UP, samples, NOW).throughput
    assert chart.most == 0.0
