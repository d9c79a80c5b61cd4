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
# Streaming's time / ours, cold and warm; seconds of a load of 1,000 rows.
_STREAMING = {"parquet": (4.0, 2.0), "hudi": (1.5, 1.5), "upsert": (2.0, 2.0)}
_SMALL = {"parquet": 0.15, "hudi": 1.0, "upsert": 1.5}
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
            1, f"dump, {SIZES[shape]} B values", "throughput per CPU-second / floor", ">= 0.45"
        )
        run = _runner(stage, partial(stage.order, topic, expected))
        if plan.pairs_of(line, partial(run, "dump"), partial(run, "floor")):
            line.value = _ratio(line, "cpu_seconds", inverse=True)
            line.met = line.value >= 0.45 if shape == "A" else None
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
    warm = _loads(plan, 3, "parquet", "", 0.5)
    return warm + _loads(plan, 3, "parquet", "from a cold start", 0.25, warm_up=False)


def row_4(plan: Plan) -> list[Line]:
    return (
        _loads(plan, 4, "hudi", "", 0.9)
        + _loads(plan, 4, "upsert", "first batch", 0.6, base_seq=0)
        + _loads(plan, 4, "upsert", "10 % updates into a full table", 0.9)
    )


def _loads(plan: Plan, row: int, kind: str, what: str, limit: float, **changes: Any) -> list[Line]:
    """CPU time has the target; wall time is beside it."""
    stage = plan.stage
    named = ", ".join(filter(None, ("load", NAMES[kind], what)))
    cpu = Line(row, named, "CPU time / bare Spark", f"<= {limit}")
    try:
        prepared, order = stage.prepared(kind)
    except RunFailedError as error:
        cpu.failed = str(error)
        return [cpu]
    run = _runner(stage, lambda: replace(stage.prepared(kind)[1], **changes), prepared)
    plan.pairs_of(cpu, partial(run, "load"), partial(run, "bare"))
    wall = replace(cpu, measure="wall time / bare Spark", target="")
    if not cpu.failed:
        for line, unit in ((cpu, "cpu_seconds"), (wall, "wall_seconds")):
            line.value = _ratio(line, unit)
            line.numbers = (
                f"{_seconds('ours', line.ours, unit)}, {_seconds('bare', line.others, unit)}"
            )
        cpu.met = _ratio(cpu, "cpu_seconds") <= limit
        timed = _timed(replace(order, **changes))
        wall.numbers += f"; {timed / _MB / _median(wall.ours, 'wall_seconds'):.0f} MB/s"
    return [cpu, wall]


def row_5(plan: Plan) -> list[Line]:
    stage, lines = plan.stage, []
    ensure_streaming(stage.jars)
    for kind in KINDS:
        both = Line(5, NAMES[kind], "", "")
        topic, expected = stage.updates() if kind == "upsert" else stage.topic("load")
        run = _runner(stage, partial(stage.order, topic, expected, kind=kind))
        plan.pairs_of(both, partial(run, "path"), partial(run, "stream"))
        for number, start in enumerate(("from a cold start", "warm")):
            what = f"Kafka to table, {NAMES[kind]}, {start}"
            lines += _against_stream(both, what, number, _STREAMING[kind][number])
    return lines


def _against_stream(both: Line, what: str, number: int, limit: float) -> list[Line]:
    """Wall and CPU time of the `number`th reading of every run."""
    lines = []
    for name, unit in (("wall", "wall_seconds"), ("CPU", "cpu_seconds")):
        line = Line(5, what, f"streaming's {name} time / ours", f">= {limit:g}", failed=both.failed)
        if not both.failed:
            line.ours = [pair[number] for pair in both.ours]  # type: ignore[index]
            line.others = [pair[number] for pair in both.others]  # type: ignore[index]
            line.value = _ratio(line, unit, inverse=True)
            line.met = line.value >= limit
            ours, others = _seconds("ours", line.ours, unit), _seconds("", line.others, unit)
            line.numbers = f"{ours}, streaming{others}"
        lines.append(line)
    return lines


def row_6(plan: Plan) -> list[Line]:
    lines = []
    for kind in KINDS:
        line = _small_line(kind)
        nothing = Line(6, f"nothing new, {NAMES[kind]}", "ms, median", "<= 50, <= 2 LISTs, 0 jobs")
        try:
            found = _small(plan, kind)
        except RunFailedError as error:
            line.failed = nothing.failed = str(error)
        else:
            line.ours = nothing.ours = [found]
            slowest, typical = found["slowest_seconds"], median(found["load_seconds"])
            line.value = slowest if kind == "upsert" else typical
            line.met = line.value <= _SMALL[kind]
            line.numbers = (
                f"median {typical:.2f} s, slowest {slowest:.2f} s; "
                f"the dump before it {median(found['dump_seconds']):.2f} s"
            )
            nothing.value = median(found["nothing_new_ms"])
            lists, jobs = found["nothing_new_lists"], found["nothing_new_jobs"]
            nothing.met = nothing.value <= 50 and lists <= 2 and jobs == 0
            nothing.numbers = f"{lists} LISTs, {jobs} Spark jobs"
        lines += [line, nothing]
    return lines


def _small_line(kind: str) -> Line:
    measure = "seconds, slowest" if kind == "upsert" else "seconds, median"
    return Line(6, f"load of 1,000 rows, {NAMES[kind]}", measure, f"<= {_SMALL[kind]:g}")


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


def row_8(plan: Plan) -> list[Line]:
    """Memory of a load of one large batch; nothing to compare it with."""
    lines = []
    for kind in KINDS:
        what = f"load of a large batch, {NAMES[kind]}"
        line = Line(8, what, "peak memory of all processes, MB", "<= 1500")
        try:
            prepared, order = plan.stage.prepared(kind, "large")
            order = replace(order, warm_up=False, sampled=True)
            line.ours = [plan.stage.run("load", order, prepared)]
        except RunFailedError as error:
            line.failed = str(error)
        else:
            line.value = line.ours[0]["sampled_peak_bytes"] / _MB
            line.met = line.value <= 1_500
            line.numbers = f"{order.expected.value_bytes / _MB:.0f} MB of values in one batch"
        lines.append(line)
    return lines


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
    1: row_1, 3: row_3, 4: row_4, 5: row_5, 6: row_6, 7: row_7, 8: row_8,
}  # fmt: skip
