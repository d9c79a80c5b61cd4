"""The rows of the table: what runs against what, how often, and the target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bench.jars import ensure_streaming
from bench.order import KINDS, Order
from bench.records import SIZES, Expected
from bench.stage import RunFailedError, Stage

_MB = 1e6
NAMES = {"parquet": "Parquet append", "hudi": "Hudi append", "upsert": "Hudi upsert"}


@dataclass
class Line:
    """One line of the result. `value` is held against `target` by `holds`; `ours` and `others`
    are the readings of each pair, in order."""

    row: int
    what: str
    measure: str
    target: str
    value: float | None = None
    met: bool | None = None
    numbers: str = ""
    ours: list[Mapping[str, Any]] = field(default_factory=list)
    others: list[Mapping[str, Any]] = field(default_factory=list)
    failed: str = ""


@dataclass
class Plan:
    """How much to run. `pairs` alternate: ours, other, ours, other."""

    stage: Stage
    pairs: int
    rounds: int

    def pairs_of(self, line: Line, ours: Callable[[], Any], other: Callable[[], Any]) -> bool:
        """Fills the readings; False when a run failed, which leaves the line without a number."""
        try:
            for number in range(self.pairs):
                self.stage.say(f"row {line.row}, {line.what}: pair {number + 1} of {self.pairs}")
                line.ours.append(ours())
                line.others.append(other())
        except RunFailedError as error:
            line.failed = str(error)
            return False
        return True


def row_1(plan: Plan) -> list[Line]:
    stage, lines = plan.stage, []
    for shape in ("A", "B"):
        topic, expected = stage.topic(shape)
        line = Line(
            1, f"dump, {SIZES[shape]} B values", "throughput per CPU-second / floor", ">= 0.75"
        )
        run = _runner(stage, partial(stage.order, topic, expected))
        if plan.pairs_of(line, partial(run, "dump"), partial(run, "floor")):
            line.value = _ratio(line, "cpu_seconds", inverse=True)
            line.met = line.value >= 0.75 if shape == "A" else None
            line.numbers = (
                _speed("ours", line.ours, expected) + "; " + _speed("floor", line.others, expected)
            )
        lines.append(line)
    return lines


def row_2(plan: Plan, dumps: list[Line]) -> list[Line]:
    """Reads what row 1 measured."""
    lines = []
    for shape, dumped in zip(("A", "B"), dumps, strict=True):
        line = Line(2, f"dump, {SIZES[shape]} B values", "peak memory, MB", "<= 400")
        line.failed = dumped.failed
        if not dumped.failed:
            line.value = max(r["peak_rss_bytes"] for r in dumped.ours) / _MB
            line.met = line.value <= 400
            line.numbers = f"{plan.stage.records:,} records"
        lines.append(line)
    return lines


def row_3(plan: Plan) -> list[Line]:
    return _loads(plan, 3, "parquet", 1.15)


def row_4(plan: Plan) -> list[Line]:
    return _loads(plan, 4, "hudi", 1.2) + _loads(plan, 4, "upsert", 1.2)


def _loads(plan: Plan, row: int, kind: str, limit: float) -> list[Line]:
    stage = plan.stage
    wall = Line(row, f"load, {NAMES[kind]}", "wall time / bare Spark", f"<= {limit}")
    try:
        prepared, order = stage.prepared(kind)
    except RunFailedError as error:
        wall.failed = str(error)
        return [wall]
    run = _runner(stage, lambda: stage.prepared(kind)[1], prepared)
    cpu = replace(wall, measure="CPU time / bare Spark")
    if plan.pairs_of(wall, partial(run, "load"), partial(run, "bare")):
        timed = _timed(order)
        for line, unit in ((wall, "wall_seconds"), (cpu, "cpu_seconds")):
            line.ours, line.others = wall.ours, wall.others
            line.value = _ratio(line, unit)
            line.met = line.value <= limit
            line.numbers = (
                f"{_seconds('ours', line.ours, unit)}, {_seconds('bare', line.others, unit)}"
            )
        wall.numbers += f"; {timed / _MB / _median(wall.ours, 'wall_seconds'):.0f} MB/s"
    cpu.failed = wall.failed
    return [wall, cpu]


def row_5(plan: Plan) -> list[Line]:
    stage, lines = plan.stage, []
    ensure_streaming(stage.jars)
    for kind in KINDS:
        both = Line(5, NAMES[kind], "", "")
        topic, expected = stage.updates() if kind == "upsert" else stage.topic("load")
        run = _runner(stage, partial(stage.order, topic, expected, kind=kind))
        plan.pairs_of(both, partial(run, "path"), partial(run, "stream"))
        for number, start in enumerate(("from a cold start", "warm")):
            lines += _against_stream(both, f"Kafka to table, {NAMES[kind]}, {start}", number)
    return lines


def _against_stream(both: Line, what: str, number: int) -> list[Line]:
    """Wall and CPU time of the `number`th reading of every run."""
    lines = []
    for name, unit in (("wall", "wall_seconds"), ("CPU", "cpu_seconds")):
        line = Line(5, what, f"streaming's {name} time / ours", ">= 1.5", failed=both.failed)
        if not both.failed:
            line.ours = [pair[number] for pair in both.ours]  # type: ignore[index]
            line.others = [pair[number] for pair in both.others]  # type: ignore[index]
            line.value = _ratio(line, unit, inverse=True)
            line.met = line.value >= 1.5
            ours, others = _seconds("ours", line.ours, unit), _seconds("", line.others, unit)
            line.numbers = f"{ours}, streaming{others}"
        lines.append(line)
    return lines


def row_6(plan: Plan) -> list[Line]:
    lines = []
    for kind in KINDS:
        limit = 1.0 if kind == "parquet" else 3.0
        line = Line(6, f"load of 1,000 rows, {NAMES[kind]}", "seconds, median", f"<= {limit:g}")
        nothing = Line(6, f"nothing new, {NAMES[kind]}", "ms, median", "<= 50, <= 2 LISTs, 0 jobs")
        try:
            found = _small(plan, kind)
        except RunFailedError as error:
            line.failed = nothing.failed = str(error)
        else:
            line.ours = nothing.ours = [found]
            line.value = median(found["load_seconds"])
            line.met = line.value <= limit
            line.numbers = (
                f"slowest {found['slowest_seconds']:.2f} s; "
                f"the dump before it {median(found['dump_seconds']):.2f} s"
            )
            nothing.value = median(found["nothing_new_ms"])
            lists, jobs = found["nothing_new_lists"], found["nothing_new_jobs"]
            nothing.met = nothing.value <= 50 and lists <= 2 and jobs == 0
            nothing.numbers = f"{lists} LISTs, {jobs} Spark jobs"
        lines += [line, nothing]
    return lines


def _small(plan: Plan, kind: str) -> dict[str, Any]:
    stage, topic = plan.stage, f"small-{kind}"
    stage.say(f"row 6, {NAMES[kind]}: {plan.rounds} batches")
    stage.create(topic)
    base = Expected(records=stage.load_records // 5)
    found: dict[str, Any] = stage.run(
        "small", stage.order(topic, base, kind=kind, rounds=plan.rounds)
    )
    return found


def row_7(plan: Plan) -> list[Line]:
    """One topic read by as many processes as there are cores, against one."""
    stage, lines = plan.stage, []
    for shape in ("A", "B"):
        topic, expected = stage.topic(shape)
        what = f"dump by all cores, {SIZES[shape]} B values"
        speed = Line(7, what, "records a second / one process", ">= 1.7")
        memory = Line(7, what, "peak memory of a process, MB", "<= 400")
        every, one = (
            _runner(stage, partial(stage.order, topic, expected, processes=n)) for n in (0, 1)
        )
        if plan.pairs_of(speed, partial(every, "dump"), partial(one, "dump")):
            _fill_shared(speed, memory, expected)
        memory.failed = speed.failed
        lines += [speed, memory]
    return lines


def _fill_shared(speed: Line, memory: Line, expected: Expected) -> None:
    speed.value = _ratio(speed, "wall_seconds", inverse=True)
    speed.met = speed.value >= 1.7
    sides = (("all", speed.ours), ("one", speed.others))
    speed.numbers = "; ".join(
        f"{side} {expected.records / _median(readings, 'wall_seconds') / 1000:.0f} k records a "
        f"second, {_median(readings, 'cpu_seconds'):.1f} CPU-seconds and beside them "
        f"{_median(readings, 'elsewhere_cpu_seconds'):.1f} of the broker and others"
        for side, readings in sides
    )
    memory.value = max(r["child_peak_rss_bytes"] for r in speed.ours) / _MB
    memory.met = memory.value <= 400
    memory.numbers = f"{expected.records:,} records"


def _runner(
    stage: Stage, order: Callable[[], Order], prepared: Path | None = None
) -> Callable[[str], Any]:
    return lambda task: stage.run(task, order(), prepared)


def _timed(order: Order) -> float:
    """Value bytes of the timed batch."""
    return order.expected.value_bytes / (2 if order.kind == "upsert" else 1)


def _median(readings: list[Mapping[str, Any]], unit: str) -> float:
    return float(median(r[unit] for r in readings))


def _ratio(line: Line, unit: str, inverse: bool = False) -> float:
    pairs = zip(line.ours, line.others, strict=True)
    ratios = [a[unit] / b[unit] for a, b in pairs]
    return float(median(1 / r for r in ratios) if inverse else median(ratios))


def _seconds(side: str, readings: list[Mapping[str, Any]], unit: str) -> str:
    return f"{side} {_median(readings, unit):.1f} s"


def _speed(side: str, readings: list[Mapping[str, Any]], expected: Expected) -> str:
    cpu = _median(readings, "cpu_seconds")
    return (
        f"{side} {expected.value_bytes / _MB / cpu:.0f} MB and "
        f"{expected.records / cpu / 1000:.0f} k records per CPU-second"
    )


ROWS: Mapping[int, Callable[[Plan], list[Line]]] = {
    1: row_1, 3: row_3, 4: row_4, 5: row_5, 6: row_6, 7: row_7,
}  # fmt: skip
