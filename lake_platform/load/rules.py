"""The rules of a dataset while a batch is decoded: which rows break them, which are put aside."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import orjson

from lake_platform.domain.bundle import Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.offsets import RawObject
from lake_platform.domain.rules import SAMPLES, Broken, added, reason_of
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import ReplayRefusedError, RuleBrokenError
from lake_platform.load.report import Rejected
from lake_platform.raw.objects import read_lines
from lake_platform.records.conform import head_of, value_bytes
from lake_platform.records.unique import Place

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Aside:
    """What was decided of records before these rows are looked at. `reasons`: of those that are put
    aside whatever the rules say. `only`: with it no other record may be put aside than these.
    `judged`: nothing more is to be said of the others."""

    reasons: Mapping[Place, str] = field(default_factory=dict)
    only: frozenset[Place] | None = None
    judged: bool = False


@dataclass
class RowRules:
    """Of the rows of some raw objects. `aside`: the reasons of those that are no rows any more;
    `keys`: what `unique` compares, by the name of the condition."""

    dataset: Dataset
    before: Aside
    broken: dict[str, Broken] = field(default_factory=dict)
    aside: dict[Place, str] = field(default_factory=dict)
    keys: dict[str, list[pa.RecordBatch]] = field(default_factory=dict)

    def kept(self, rows: pa.RecordBatch) -> list[int] | None:
        """Numbers of the rows that stay; None: all."""
        import pyarrow as pa

        reasons = self._reasons(rows)
        kept = None
        if reasons:
            places = places_of(rows)
            self.aside |= {places[n]: reason for n, reason in reasons.items()}
            kept = [n for n in range(rows.num_rows) if n not in reasons]
        if any(c.kind == "unique" for c in self.dataset.conditions) and not self.before.judged:
            self._note_keys(rows if kept is None else rows.take(pa.array(kept, pa.int64())))
        return kept

    def _reasons(self, rows: pa.RecordBatch) -> dict[int, str]:
        from lake_platform.records.rules import held_against

        found: dict[int, str] = {}
        if self.before.reasons:
            known = self.before.reasons
            found = {n: known[p] for n, p in enumerate(places_of(rows)) if p in known}
        if self.before.judged:
            return found
        verdict = held_against(self.dataset.conditions, rows)
        self.broken = added(self.broken, verdict.broken)
        if not verdict.aside:
            return found
        places, only = places_of(rows), self.before.only
        for number, condition in verdict.aside.items():
            if only is None or places[number] in only:
                found.setdefault(number, reason_of(condition))
        return found

    def _note_keys(self, rows: pa.RecordBatch) -> None:
        from lake_platform.records.unique import keys_of

        for condition in self.dataset.conditions:
            if condition.kind == "unique":
                keys = keys_of(self.dataset, condition, rows)
                self.keys.setdefault(condition.name, []).append(keys)


def row_rules(dataset: Dataset, before: Aside) -> RowRules | None:
    """None where no rule can be broken by the records as they are: behind steps there are other
    rows, which the engine looks at."""
    if dataset.transformed or not (dataset.conditions or before.reasons):
        return None
    return RowRules(dataset, before)


def places_of(rows: pa.RecordBatch) -> list[Place]:
    names = ("_kafka_partition", "_kafka_offset")
    return list(zip(*(rows.column(n).to_pylist() for n in names), strict=True))


def lines_of(
    store: ObjectStore, objects: Sequence[RawObject], wanted: Collection[Place]
) -> Iterator[tuple[RawObject, bytes, Place]]:
    """The raw lines of records. Raises: CorruptRawError."""
    for raw in objects:
        offsets = range(raw.first_offset, raw.last_offset + 1)
        if not any(p == raw.partition and o in offsets for p, o in wanted):
            continue
        for line in read_lines(store, raw):
            head = head_of(line)
            if (head.partition, head.offset) in wanted:
                yield raw, line, (head.partition, head.offset)


def rejected(
    store: ObjectStore, objects: Sequence[RawObject], reasons: Mapping[Place, str]
) -> list[Rejected]:
    """Records for quarantine, whole. Raises: CorruptRawError."""
    found = lines_of(store, objects, reasons.keys()) if reasons else ()
    return [Rejected(raw, line, reasons[place]) for raw, line, place in found]


def check_blocking(
    dataset: Dataset, ports: Ports, broken: Mapping[str, Broken], objects: Sequence[RawObject],
    batch: str, *, asked: bool,
) -> None:  # fmt: skip
    """`asked`: a person asked for this replay, which stops no table.

    Raises: RuleBrokenError, after the incident is on record; ReplayRefusedError.
    """
    blocking = [b for b in broken.values() if b.condition.policy == "block"]
    if blocking and asked:
        raise ReplayRefusedError(
            dataset.table, batch, _said(blocking), "change the rule, or its policy to quarantine"
        )
    if blocking:
        _block(dataset, ports, blocking, objects, batch)


def _said(blocking: Sequence[Broken]) -> str:
    return ", ".join(f"{b.condition.name} is broken by {b.rows} rows" for b in blocking)


def _block(
    dataset: Dataset, ports: Ports, blocking: Sequence[Broken], objects: Sequence[RawObject],
    batch: str,
) -> NoReturn:  # fmt: skip
    shown = {(s["partition"], s["offset"]): b for b in blocking for s in b.samples[:SAMPLES]}
    samples = [
        {
            "rule": shown[place].condition.name, "partition": place[0], "offset": place[1],
            "window": raw.window, "value": orjson.loads(value_bytes(line) or b"null"),
        }
        for raw, line, place in lines_of(ports.store, objects, shown.keys())
    ]  # fmt: skip
    said = _said(blocking)
    incident = ports.metastore.block(dataset.table, (), batch, samples, "rule", said)
    raise RuleBrokenError(dataset.table, incident, said)
