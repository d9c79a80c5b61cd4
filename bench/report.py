"""The result as a table on the screen, as JSON, and as docs/performance.md."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

from bench.rows import Line

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
_PACKAGES = ("pyspark", "confluent-kafka", "isal", "pysimdjson", "msgspec", "obstore")


@dataclass(frozen=True)
class Setting:
    """What the numbers were made with and on."""

    command: str
    records: int
    load_records: int
    pairs: int

    @property
    def machine(self) -> str:
        memory = psutil.virtual_memory().total / 2**30
        return f"{psutil.cpu_count()} cores ({_cpu_model()}), {memory:.0f} GB, {platform.system()}"

    @property
    def commit(self) -> str:
        """What was measured; empty outside of a git work tree."""
        git = ["git", "-C", str(PAGE.parent), "describe", "--always", "--dirty", "--exclude=*"]
        try:
            done = subprocess.run(git, capture_output=True, text=True, timeout=20, check=False)
        except OSError:
            return ""
        return done.stdout.strip()

    @property
    def versions(self) -> str:
        packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
        return f"Python {platform.python_version()}, {packages}, Hudi 1.2.0, Kafka 4.3.1"


def table(lines: Sequence[Line]) -> Table:
    shown = Table(title="bench")
    for name in ("row", "what", "measure", "target", "found", ""):
        shown.add_column(name)
    for line in lines:
        shown.add_row(
            str(line.row), line.what, line.measure, line.target, _found(line),
            line.failed or line.numbers,
        )  # fmt: skip
    return shown


def completed(lines: Sequence[Line], before: Sequence[dict[str, Any]]) -> list[Line]:
    """With the rows of an earlier run that are not among these."""
    run = {line.row for line in lines}
    kept = [Line(**fields) for fields in before if fields["row"] not in run]
    return sorted([*lines, *kept], key=lambda line: line.row)


def as_json(lines: Sequence[Line], setting: Setting) -> dict[str, Any]:
    return {
        **asdict(setting),
        "commit": setting.commit,
        "machine": setting.machine,
        "versions": setting.versions,
        "date": _today(),
        "lines": [asdict(line) for line in lines],
    }


def page(lines: Sequence[Line], setting: Setting) -> str:
    body = "\n".join(
        f"| {x.row} | {x.what} | {x.measure} | {x.target} | {_found(x)} | {x.failed or x.numbers} |"
        for x in lines
    )
    disturbed = max((r for x in lines for r in _elsewhere(x)), default=0.0)
    commit = f" of commit {setting.commit}" if setting.commit else ""
    return _PAGE.format(
        commit=commit,
        command=setting.command, date=_today(), machine=setting.machine,
        versions=setting.versions, records=setting.records,
        load_records=setting.load_records, pairs=setting.pairs, body=body,
        disturbed=disturbed,
    )  # fmt: skip


def _elsewhere(line: Line) -> list[float]:
    return [
        r["elsewhere_cpu_seconds"] / r["wall_seconds"]
        for r in (*line.ours, *line.others)
        if "wall_seconds" in r
    ]


def _found(line: Line) -> str:
    if line.failed or line.value is None:
        return "FAILED"
    verdict = {True: ", met", False: ", **missed**", None: ""}[line.met]
    return f"{line.value:.3g}{verdict}"


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    found = re.search(r"model name\s*: (.+)", text)
    return found.group(1).strip() if found else platform.machine()


_PAGE = """\
# Performance

Written by `{command}`{commit} on {date}; do not edit. Ratios are what counts: both sides of a
ratio run in turns on the same machine (ours, other, ours, other; the median of {pairs} pairs), each
in a process of its own. Absolute numbers belong to this machine: {machine}. {versions}.

| row | what | measure | target | found | numbers |
|---|---|---|---|---|---|
{body}

## What binds where a target is missed
- Dump: the Python loop around each record (its line of raw, the proof that it is JSON, checksum).
- Dump by all cores: the one process it is held against has more than a core busy already (gzip and
  the Kafka client beside the loop), the broker takes a tenth of the machine, and starting processes
  costs two of nine CPU-seconds: the longer the backlog, the less that counts.
- Parquet append: of 2 CPU-seconds that staging 500,000 records takes by itself, a fifth each are
  the verdict on every record, values becoming columns one by one in Python, and writing Parquet,
  the rest gzip, checksums and the technical columns; beside it are the start of a second process,
  the claim, the commit and the statistics.
- Updates of a Hudi table: Hudi's own write of log files, and its look for the files of each key.
- Kafka to a Hudi table: the write is Hudi's on both sides, and most of the time; what we save is
  Spark's JSON parser, what we add is raw.
- Memory of an upsert's first batch: the JVM may take a heap of 2 GB and takes 1.1; the load and its
  decoding process take 0.8 GB beside it. Smaller batches (`LAKE_BATCH_BYTES`) take less.
- **Both sides have the serial collector**, which sessions of one or two cores get by default. It
  helps bare Spark more than us: with the JVM's own choice (G1) the three loads of row 4 took bare
  Spark 10.5, 27.9 and 13.1 CPU-seconds and 8.6, 25.1 and 11.2 with the serial one, ours 9.7, 17.4
  and 12.1, and 9.8, 16.3 and 12.6. Against Spark as it is started by itself the ratios of row 4 are
  0.93, 0.58 and 0.96. Memory of a load of 512 MB fell by a quarter to a third, which is why it is
  the default.
- **Class data** (`lake jars --class-data`, part of `make setup`) saves six CPU-seconds of each cold
  start of a Hudi table: 21.5 CPU-seconds for 500,000 records without it, 16 with it. Ours starts
  with it where it was made, the other side never does.

## How it is measured
- {records:,} records for rows 1, 2 and 7, {load_records:,} for the others: JSON events of 256 bytes
  (rows 1 and 2 also 1 KB) in a topic of 8 partitions, lz4 batches, timestamps over four hours.
  MB is a million bytes of record values. The broker runs on the same machine; at most
  {disturbed:.1f} cores were busy outside the measured processes.
- Where others were busy, the CPU ratios hold and the wall-clock ones do not: two cores are shared.
- Python's modules are compiled, as they are after an installation.
- CPU time is that of the worker process and its JVM. Peak memory is the process's high-water mark.
- **Every run ends in an audit** outside the timed section: raw holds each value byte for byte once
  (CRC-32, coordinates, the log against a blind listing); a table holds each record once by its
  Kafka coordinates, an upsert table each id once with its last record; quarantine is empty. A run
  whose audit fails is shown as FAILED and has no number.
- Row 1, the floor: librdkafka with our consumer's options, and gzip level 1 of the same value
  bytes; no envelope, no proof that a value is JSON, no checksum, nothing stored.
- Rows 3 and 4: two cores, warm session (a batch on another table first) but for the cold start.
  Bare Spark reads the same raw objects with an explicit schema and writes the same columns with the
  same table options: what it leaves out is the scan of every record, the claim, the checkpoint and
  the statistics. Updates: half of the records are in the table, the other half is timed; a tenth of
  them update an earlier record. First batch: all of them into an empty table.
- Row 5: both phases at once, as `lake ingest` runs them, against one micro-batch of Spark
  Structured Streaming (`availableNow`, `from_json`) with the same table options. It keeps no raw
  data, checks no value and quarantines nothing. Cold starts with no JVM; warm is the same again in
  the same process.
- Row 7: one process and all cores in turns. The broker serves both from the same cores; a process
  starts inside the timed section. Its memory is the kernel's peak of the largest that ended, which
  begins with that of its parent.
- Row 8: everything in one batch from a cold start; memory of the process, its decoding processes
  and the JVM (heap of at most 2 GB) together, looked at ten times a second.
- Row 6: batches of 1,000 rows on a table that has {load_records:,} / 5 rows; upsert with a tenth of
  updates, its slowest batch is the one that compacts. Nothing new: the cost of a load that finds no
  new raw commit.

## A cluster
Records are decoded by all cores of the machine that runs the load; Spark's executors, wherever they
are, read staged Parquet. Of 171 MB of raw (500,000 records) decoding takes 4.3 CPU-seconds, the
write to an append table 10, updates into an upsert table 20: a core that decodes keeps two to four
cores of executors busy. With more of them the load's machine binds: give it more cores.

## Hudi's options one by one
`python -m bench.options --jars .lake/jars` measures each against the platform's own, in turns and
in one warm session, in CPU-seconds of the JVM, and counts every table it wrote. The options of an
upsert were chosen by the measurements of docs/architecture.md and these two:

- `hoodie.combine.before.upsert=false`: a batch has one row a key before Hudi sees it.
- `bulk_insert` for the first batch of an upsert table: a third less CPU.
- `hoodie.parquet.bloom.filter.enabled=false`: a fifth of a write; none of our indexes reads them.
- `hoodie.time.generator.max_expected_clock_skew_ms=1` on a local disk: Hudi sleeps 0.4 s a commit
  for clocks that may differ; on an object store it still does.

A batch with deletes, and each batch of a table in which keys may change partition, looks up the
table's rows of its keys: a read of the columns of key, order and partition.
"""
