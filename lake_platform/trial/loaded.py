"""One side of a preview: chosen raw under one definition, loaded as production does."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.decisions import Decision
from lake_platform.domain.mapping import Path, parse_path
from lake_platform.domain.part import definition_of
from lake_platform.domain.ports import Metastore
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.quality import DECISIONS, Balance, doubted_setting, too_many
from lake_platform.domain.rebuild import Shadow, shadow_of
from lake_platform.domain.rules import Broken, added
from lake_platform.domain.schema import RESCUED_FIELD, Struct
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import (
    FixConfigError,
    LakeError,
    QuarantineRatioError,
    SchemaBlockedError,
    StopDatasetError,
)
from lake_platform.load import quarantined
from lake_platform.load.load import load
from lake_platform.load.results import LoadResult
from lake_platform.trial.once import BesideRaw, Chosen, ForOnce

ReadRows = Callable[[Dataset, Struct], Sequence[Mapping[str, Any]]]
"""All rows of a table that has these columns."""
_SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """A definition with the schema that its load begins with; None: that of the first records."""

    dataset: Dataset
    schema: SchemaVersion | None
    decisions: Sequence[Decision]


@dataclass(frozen=True, slots=True)
class Example:
    """How many, and the first of them in Kafka's order; unknown where no record shows it."""

    count: int
    partition: int | None = None
    offset: int | None = None
    value: str | None = None


@dataclass
class Side:
    """What loads make of the records. `quarantined` by reason, `rescued` by path, `rules` by name;
    `stops`: why a load would stop, at the records behind those in `balance`."""

    shadow: Shadow
    columns: Struct = field(default_factory=Struct)
    changes: list[str] = field(default_factory=list)
    balance: Balance = field(default_factory=Balance)
    quarantined: dict[str, Example] = field(default_factory=dict)
    rescued: dict[str, Example] = field(default_factory=dict)
    rules: dict[str, Broken] = field(default_factory=dict)
    files: int = 0
    bytes: int = 0
    stops: str = ""


def load_side(
    name: str, wanted: Wanted, found: Chosen, ports: Ports, once: ObjectStore, limits: Limits,
    tell: Callable[[str], None],
) -> Side:  # fmt: skip
    """Raises: RetryableError; what would stop the table is in the answer."""
    # How many are in quarantine is told, and judged here.
    lenient = wanted.dataset.with_changes({"max_quarantine_ratio": 1.0})
    table = f"{lenient.table}.preview-{name}"
    # What was chosen is numbered anew, and all of it counts.
    whole = Dataset(**definition_of(lenient))
    shadow = shadow_of(whole, table, 0, keeps_columns=wanted.schema is not None)
    metastore = ForOnce(
        ports.metastore, shadow, wanted.schema, tuple(found.decisions(wanted.decisions))
    )
    store = BesideRaw(once, ports.store)
    # The parts of them that a load of one table needs.
    looking = replace(ports, store=store, metastore=cast(Metastore, metastore), pool=None)
    forever = replace(limits, load_budget_seconds=math.inf)
    side, put_aside = Side(shadow), Counter[str]()
    try:
        for _ in found.log_into(once, shadow.raw_table):
            for done in load(table, looking, forever):
                tell(f"{name} the change: {done.applied.applied} of {len(found.commits)} commits")
                if not done.applied.reapply:  # else it comes again, with its new columns
                    _add(side, done)
                    put_aside += Counter(done.quarantined)
                    _check_ratio(wanted.dataset, done)
    except (StopDatasetError, FixConfigError) as error:
        side.stops = _said(error, shadow, metastore)
    active = metastore.active_schema(table)
    side.columns = active.columns if active else Struct()
    side.quarantined = _put_aside(store, table, put_aside)
    return side


def _add(side: Side, done: LoadResult) -> None:
    side.changes += map(str, done.changes)
    side.balance += done.applied.balance
    side.rules = added(side.rules, done.broken)
    for path, count in done.rescued.items():
        known = side.rescued.get(path, Example(0))
        side.rescued[path] = replace(known, count=known.count + count)
    side.files += done.files
    side.bytes += done.bytes


def _check_ratio(dataset: Dataset, done: LoadResult) -> None:
    limit, total = dataset.max_quarantine_ratio, done.applied.balance.records
    bad = {r: n for r, n in done.quarantined.items() if r not in DECISIONS}
    if too_many(sum(bad.values()), total, limit):
        reasons = ", ".join(f"{reason}: {n}" for reason, n in bad.items())
        raise QuarantineRatioError(
            dataset.table, sum(bad.values()), total, limit, reasons, doubted_setting(bad)
        )


def _said(error: LakeError, shadow: Shadow, metastore: ForOnce) -> str:
    if not isinstance(error, SchemaBlockedError):
        return str(error).replace(shadow.table, shadow.live_table)
    firsts = [b.samples[0] for b in metastore.blocks if b.samples]
    first = "".join(f", first at p{s['partition']} offset {s['offset']}" for s in firsts[:1])
    return f"BLOCKED: {'; '.join(error.changes)}{first}"


def _put_aside(store: ObjectStore, table: str, counts: Mapping[str, int]) -> dict[str, Example]:
    found = {}
    for reason, count in counts.items():
        held = quarantined.records(store, table, quarantined.Wanted(frozenset([reason])))
        one = min(held, key=lambda r: (r.timestamp, r.partition, r.offset), default=None)
        found[reason] = (
            Example(count)
            if one is None
            else Example(count, one.partition, one.offset, (one.value or "")[:_SHOWN_CHARS])
        )
    return found


def with_samples(side: Side, rows: Sequence[Mapping[str, Any]]) -> dict[str, Example]:
    """`rescued`, each with the first value of its path that a row shows."""
    wanted = {path: parse_path(path) for path in side.rescued}
    found = dict(side.rescued)
    for row in rows:
        for pointer, value in _rescued_in(row):
            for path, keys in list(wanted.items()):
                if _is_at(pointer, keys):
                    text = json.dumps(value, ensure_ascii=False)[:_SHOWN_CHARS]
                    at = (row.get("_kafka_partition"), row.get("_kafka_offset"))
                    found[path] = Example(found[path].count, *at, text)
                    del wanted[path]
        if not wanted:
            break
    return found


def _rescued_in(row: Mapping[str, Any]) -> Iterator[tuple[list[str], Any]]:
    text = row.get(RESCUED_FIELD.name)
    for pointer, value in json.loads(text).items() if text else ():
        keys = pointer.split("/")[1:]
        yield [k.replace("~1", "/").replace("~0", "~") for k in keys], value


def _is_at(pointer: Sequence[str], path: Path) -> bool:
    pairs = zip(pointer, path, strict=False)
    return len(pointer) == len(path) and all(key is None or key == part for part, key in pairs)
