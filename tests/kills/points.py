"""The named moments at which a writer is killed.

`armed` is "<port> <before|after|lost> <call> <which one> <pattern of its first argument>"; port
`jvm` is a call of Hudi or Spark on a file, `part-...` one of a process that reads partitions or
decodes. docs/delivery.md has the order in which they come.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

ALL = ("parquet", "append", "upsert")
SMALL = ("changes", "steps", "filtered", "reader")
"""Tables that pass a part of the points: of change events, with Python and SQL steps (Parquet),
with a step whose WHERE deletes (Hudi), one that reads the raw of another dataset."""
HUDI = ("append", "upsert")
STYLES = ("group", "jvm", "part", "parent")
_TIMELINE = r".*/\.hoodie/timeline/"
_UUID = r"\.[-0-9a-f]{36}"
_HUDI_DATA = r".*/lake/[^/]+/(day=d\d/)?\.?[^/.][^/]*(\.parquet|\.log\.[-_0-9]+)"
_BASE_FILE = r".*/lake/[^/]+/(day=d\d/)?[^/.][^/]*\.parquet"
_LOCK = r".*/locks/\w+/lock"
_DONE = _TIMELINE + r"\d+_\d+\."


@dataclass(frozen=True)
class Point:
    """`command` gets a writer to the point. `first` is the point of an earlier kill, whose recovery
    passes this one. `often`: Hudi does its housekeeping at every batch, and each cycle compacts.
    `fresh`: the table's first batch. `new_column`: the batch brings one."""

    name: str
    armed: str
    kinds: tuple[str, ...] = ALL
    command: str = "load"
    first: str = ""
    often: bool = False
    fresh: bool = False
    new_column: bool = False

    @property
    def in_phase_1(self) -> bool:
        return self.command in {"dump", "spread"}

    def styles(self, kind: str) -> tuple[str, ...]:
        """What there is to be killed apart from everything at once. A Parquet table without steps
        has no JVM."""
        if self.command in {"spread", "crew"}:
            return ("group", "part", "parent")
        alone = kind == "parquet" or self.command in {"dump", "clean"}
        return ("group",) if alone else ("group", "jvm")


def _phase_1() -> list[Point]:
    def point(name: str, armed: str) -> Point:
        return Point(name, armed, command="dump")

    return [
        point("polled", "reader after poll 1 records"),
        point("between two uploads", "store before put 2 ^raw/"),
        point("uploaded, before the raw commit", "store before put_new 1 /phase1/"),
        point("raw commit, reply lost", "store lost put_new 1 /phase1/"),
        point("raw commit, before the metastore", "store after put_new 1 /phase1/"),
        point("raw commit told", "metastore after update_progress 1 ."),
    ]


def _shared(work: str, command: str, named: Mapping[str, str]) -> list[Point]:
    """Of work done by two processes; `part` is a call of one of these."""
    return [
        Point(f"shared {work}: {name}", armed, command=command) for name, armed in named.items()
    ]


def _shared_phase_1() -> list[Point]:
    return _shared("dump", "spread", {
        "an object half built": "part-reader after poll 1 records",
        "a part before its upload": "part-store before put 1 ^raw/",
        "a part uploaded, not told": "part-store after put 1 ^raw/",
        "parts uploaded, before the raw commit": "store before put_new 1 /phase1/",
        "raw commit, parts waiting": "store after put_new 1 /phase1/",
    })  # fmt: skip


def _cleaner() -> list[Point]:
    def point(name: str, armed: str) -> Point:
        return Point(name, armed, command="clean")

    return [
        point("cleaner: snapshot written", "store after put 1 /phase1-snapshots/"),
        point("cleaner: log half trimmed", "store after delete 1 /phase1/"),
        point("cleaner: claims half removed", "store after delete 1 /phase2/claims/"),
    ]


def _phase_2() -> list[Point]:
    return [
        Point("before the claim", "store before put_new 1 /claims/"),
        Point("claimed", "store after put_new 1 /claims/"),
        Point("before fencing", "engine before fence 1 .", first="claimed"),
        Point("fenced", "engine after fence 1 .", first="claimed"),
        Point("in the scan", "store before get 2 ^raw/"),
        Point("decoded, before it is staged", "store before put 1 ^staging/"),
        Point("staged, before the verdict is told", "store after put 1 ^staging/"),
        Point("before a schema version", "metastore before add_schema_version 1 .",
              new_column=True),
        Point("schema version, before the write", "metastore after add_schema_version 1 .",
              new_column=True),
        Point("between two quarantine objects", "store after put 1 ^quarantine/"),
        Point("quarantined, before the write", "engine before write 1 ."),
        Point("written, before statistics", "metastore before record_batch 1 ."),
        Point("statistics, before publishing", "metastore after record_batch 1 ."),
        Point("published, before the claim ends", r"store before put 1 /claims/.*\.done"),
        Point("replay written", "engine after write 1 .", command="replay"),
    ]  # fmt: skip


def _shared_decoding() -> list[Point]:
    return _shared("decoding", "crew", {
        "in the scan": "part-store before get 1 ^raw/",
        "decoded, before it is staged": "part-store before put 1 ^staging/",
        "staged, not told": "part-store after put 1 ^staging/",
        "told, before the write": "engine before write 1 .",
    })  # fmt: skip


def _parquet() -> list[Point]:
    def point(name: str, armed: str, command: str = "load") -> Point:
        return Point(f"parquet: {name}", armed, ("parquet",), command)

    return [
        point("between two staged files", "store after put 2 ^staging/"),
        point("staged, before the record", "store before put_new 1 /batches/"),
        point("recorded, before moving", "store after put_new 1 /batches/"),
        point("between two moves", "store after move 1 ^staging/"),
        point("moved, before the mark", r"store before put 1 /batches/.*\.published"),
        point("published", r"store after put 1 /batches/.*\.published"),
        point("replay: old files half removed", "store after delete 1 ^lake/", "replay"),
    ]


def _hudi_write() -> list[Point]:
    def point(name: str, armed: str, fresh: bool = False) -> Point:
        return Point(f"hudi: {name}", f"jvm {armed}", HUDI, fresh=fresh)

    return [
        point("before hoodie.properties", r"before create 1 .*/hoodie\.properties", fresh=True),
        point("hoodie.properties half written", r"before close 1 .*/hoodie\.properties",
              fresh=True),
        point("lock to start", rf"after create 1 {_LOCK}"),
        point("requested half written", rf"before close 1 {_TIMELINE}\d+\.\w+\.requested"),
        point("requested", rf"after close 1 {_TIMELINE}\d+\.\w+\.requested"),
        point("inflight", rf"after (close|rename) 1 {_TIMELINE}\d+(\.deltacommit)?\.inflight"),
        point("data file half written", rf"before close 2 {_HUDI_DATA}"),
        point("data written, before the lock", rf"before create 2 {_LOCK}"),
        point("lock to commit", rf"after close 2 {_LOCK}"),
        point("commit file half written", rf"before close 1 {_DONE}\w*commit{_UUID}"),
        point("commit file there, lock held", rf"after rename 1 {_DONE}\w*commit"),
        point("commit file there, lock gone", rf"after delete 3 {_LOCK}"),
        point("markers half removed", r"after delete 1 .*/\.hoodie/\.temp/.*"),
    ]  # fmt: skip


def _hudi_housekeeping() -> list[Point]:
    def point(name: str, armed: str, *kinds: str, first: str = "") -> Point:
        # A cycle: dump, load and, with `often`, a compaction.
        return Point(f"hudi: {name}", f"jvm {armed}", kinds or HUDI, "cycle", first, often=True)

    failed = "hudi: data file half written"
    return [
        Point("compaction claimed", "store after put_new 1 /claims/", ("upsert",), "compact",
              often=True),
        Point("before the compaction", "engine before compact 1 .", ("upsert",), "cycle",
              often=True),
        Point("compacted, before the claim ends", "engine after compact 1 .", ("upsert",), "cycle",
              often=True),
        point("compaction requested", rf"after rename 1 {_TIMELINE}\d+\.compaction\.requested",
              "upsert"),
        point("compaction inflight", rf"after close 1 {_TIMELINE}\d+\.compaction\.inflight",
              "upsert"),
        point("compaction file half written", rf"before close 2 {_BASE_FILE}", "upsert"),
        point("compaction, before its commit", rf"before rename 1 {_DONE}commit", "upsert"),
        point("compaction committed", rf"after rename 1 {_DONE}commit", "upsert"),
        point("rollback requested", rf"after (close|rename) 1 {_TIMELINE}\d+\.rollback\.requested",
              first=failed),
        point("rollback half done", rf"after delete 1 {_HUDI_DATA}", first=failed),
        point("rollback, before its end", rf"before rename 1 {_DONE}rollback", first=failed),
        point("clean requested", rf"after rename 1 {_TIMELINE}\d+\.clean\.requested", "upsert"),
        point("clean half done", rf"after delete 2 {_HUDI_DATA}", "upsert"),
        point("clean, before its end", rf"before rename 1 {_DONE}clean", "upsert"),
        point("archive written", rf"after close 1 {_TIMELINE}history/.*\.parquet"),
        point("archive, between two versions", rf"before rename 1 {_TIMELINE}history/_version_"),
        point("archive, timeline half trimmed", rf"after delete 2 {_TIMELINE}\d+.*"),
    ]  # fmt: skip


def _rebuild() -> list[Point]:
    # Names of live tables have no dot, those of rebuilt ones have.
    live, shadow = r"checkpoints/[^/.]+/phase2", r"[^/.]+\.rebuild-"
    named = {
        "rebuild: begun": "metastore after begin_rebuild 1 .",
        "rebuild: batch written, before statistics": "metastore before record_batch 1 .",
        "swap: claimed": rf"store after put_new 1 {live}/claims/",
        "swap: before it is decided": "store before put_new 1 /swaps/",
        "swap: decided": "store after put_new 1 /swaps/",
        "swap: old table half removed": "store after delete 1 ^lake/",
        "swap: old table gone": r"store before put 1 /swaps/.*\.emptied",
        "swap: new table half moved in": rf"store after move 2 ^lake/{shadow}",
        "swap: moved in, before the metastore": "metastore before swap_in 1 .",
        "swap: on record": "metastore after swap_in 1 .",
        "swap: half tidied": rf"store after delete 1 ^checkpoints/{shadow}",
        "swap: over, before the claim ends": rf"store before put 1 {live}/claims/.*\.done",
    }
    return [Point(name, armed, command="rebuild") for name, armed in named.items()]


def _release() -> list[Point]:
    """A table that a record stopped, put right by an operator, and loaded: the held raw commits."""
    named = {
        "before it is on record": "metastore before settle 1 .",
        "on record, before the load": "metastore after settle 1 .",
        "held batch claimed": "store after put_new 1 /claims/",
        "held batch staged": "store after put 1 ^staging/",
        "put aside, before the write": "store after put 1 ^quarantine/",
        "held batch written, before statistics": "metastore before record_batch 1 .",
        "over, before the claim ends": r"store before put 1 /claims/.*\.done",
    }
    return [Point(f"release: {name}", armed, command="release") for name, armed in named.items()]


def _redrive() -> list[Point]:
    """Records in quarantine whose rule is mended."""
    named = {
        "planned, before the claim": "store before put_new 1 /claims/",
        "claimed": "store after put_new 1 /claims/",
        "staged": "store after put 1 ^staging/",
        "quarantine put again, before the write": "engine before write 1 .",
        "written, still in quarantine": "engine after write 1 .",
        "out of quarantine, before statistics": "metastore before record_batch 1 .",
        "over, before the claim ends": r"store before put 1 /claims/.*\.done",
    }
    return [Point(f"re-drive: {name}", armed, command="redrive") for name, armed in named.items()]


# What differs in them: what a batch is made of, how its rows go in and out again, who reads raw.
_OF_SMALL = {
    "uploaded, before the raw commit": ("reader",),
    "fenced": ("reader",),
    "staged, before the verdict is told": ("steps",),
    "schema version, before the write": ("changes", "filtered", "reader"),
    "written, before statistics": SMALL,
    "replay written": SMALL,
    "shared decoding: told, before the write": ("changes",),
    "parquet: between two moves": ("steps",),
    "hudi: data file half written": ("changes", "filtered", "reader"),
    "hudi: compaction file half written": ("changes", "filtered"),
    "cleaner: log half trimmed": ("reader",),
    "rebuild: batch written, before statistics": ("filtered", "reader"),
    "swap: old table half removed": ("reader",),
    "release: put aside, before the write": ("steps",),
    "re-drive: written, still in quarantine": ("changes",),
}


def _with_small(points: Iterator[Point]) -> Iterator[Point]:
    for point in points:
        yield replace(point, kinds=point.kinds + _OF_SMALL.get(point.name, ()))


POINTS: tuple[Point, ...] = tuple(_with_small(chain(
    _phase_1(), _shared_phase_1(), _phase_2(), _shared_decoding(), _parquet(), _hudi_write(),
    _hudi_housekeeping(), _cleaner(), _rebuild(), _release(), _redrive(),
)))  # fmt: skip
BY_NAME = {p.name: p for p in POINTS}
