"""The metastore in dicts: what the simulation can afford a thousand times a second.

Held to tests/contract/test_metastore.py like the real one; each call is one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import wraps
from threading import RLock
from typing import Any, ParamSpec, TypeVar

from lake_platform.domain.batches import AppliedBatch, CountedBatch, WriteResult
from lake_platform.domain.casts import Lost
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.decisions import Decision, settled_by
from lake_platform.domain.described import Line, in_force
from lake_platform.domain.diff import Change
from lake_platform.domain.fitness import check_change
from lake_platform.domain.mapping import FirstSight, Mapped
from lake_platform.domain.offsets import Gap
from lake_platform.domain.ports import Clock
from lake_platform.domain.progress import DatasetRecord, Progress, SchemaVersion
from lake_platform.domain.quality import Balance
from lake_platform.domain.rebuild import Rebuild, Shadow, shadow_of
from lake_platform.domain.schema import Struct
from lake_platform.errors import (
    ConflictError,
    DatasetNotFoundError,
    IncidentNotFoundError,
    InvalidFieldError,
    NameTakenError,
)
from lake_platform.metastore.batch_rows import BatchStatistics
from lake_platform.metastore.incident import Incident, Outcome
from lake_platform.metastore.model import changed, dataset_to_dict
from lake_platform.metastore.progress_rows import OF_RAW
from lake_platform.metastore.rebuilds import _CLEARED, _OF_THE_TABLE, REBUILT
from lake_platform.metastore.statistics import _GROWING, SHRINKING
from lake_platform.metastore.unit import AuditEntry

P = ParamSpec("P")
R = TypeVar("R")
_NAMES = frozenset(f.name for f in fields(Progress))


def _whole(act: Callable[P, R]) -> Callable[P, R]:
    """One call at a time, as one transaction."""

    @wraps(act)
    def locked(*args: P.args, **values: P.kwargs) -> R:
        with args[0]._lock:  # type: ignore[attr-defined]
            return act(*args, **values)

    return locked


@dataclass
class _Batch:
    applied: AppliedBatch
    counted: bool
    windows: Mapping[str, int]
    files: int
    bytes: int
    recorded_at: int
    rescued: Mapping[str, int] | None = None
    lost: Mapping[str, int] | None = None
    seconds: Mapping[str, float] | None = None

    def within(self, other: _Batch) -> bool:
        mine, theirs = self.applied.batch, other.applied.batch
        return theirs.first_seq <= mine.first_seq and mine.last_seq <= theirs.last_seq


@dataclass
class _Held:
    record: DatasetRecord
    rebuild: Rebuild | None = None
    resolution: str = REBUILT
    paused_from: Status | None = None
    retired_from: Status | None = None
    progress: dict[str, Any] = field(default_factory=lambda: asdict(Progress()))
    schemas: list[SchemaVersion] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    profile: Mapping[str, Any] | None = None
    gaps: list[Gap] = field(default_factory=list)
    batches: dict[str, _Batch] = field(default_factory=dict)


class DictMetastore:
    """What `metastore.repository.Repository` does, without a database."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, RLock()
        self._tables: dict[str, _Held] = {}
        self._incidents: list[Incident] = []
        self._decisions: list[tuple[str, Decision]] = []
        self._log: list[AuditEntry] = []

    def close(self) -> None:
        """There is nothing to close."""

    def _held(self, table: str) -> _Held:
        if table not in self._tables:
            raise DatasetNotFoundError(table)
        return self._tables[table]

    def _audit(self, action: str, table: str, before: Any, after: Any, actor: str | None) -> None:
        entry = AuditEntry(
            len(self._log) + 1, self._clock(), actor or "platform", action, table, before, after
        )
        self._log.append(entry)

    def audit_log(self, table: str | None = None, limit: int = 100) -> list[AuditEntry]:
        return [e for e in reversed(self._log) if table in {None, e.table}][:limit]

    # -- definitions

    def get(self, table: str) -> DatasetRecord:
        return self._held(table).record

    def list_all(self, *, include_retired: bool = False) -> list[DatasetRecord]:
        records = [h.record for _, h in sorted(self._tables.items()) if h.rebuild is None]
        return [r for r in records if include_retired or r.status is not Status.RETIRED]

    def name_taken(self, table: str) -> bool:
        return table.casefold() in {t.casefold() for t in self._tables}

    @_whole
    def register(
        self, dataset: Dataset, source: Struct | None, actor: str, sight: FirstSight | None = None
    ) -> DatasetRecord:
        if self.name_taken(dataset.table):
            raise NameTakenError(dataset.table)
        status = Status.BOOTSTRAPPING if dataset.raw_from else Status.REGISTERED
        record = DatasetRecord(dataset, 1, status, self._clock())
        held = self._tables[dataset.table] = _Held(record)
        if source is not None:
            derived = None if dataset.transformed else source
            made = SchemaVersion(1, source, derived, created_at=self._clock(), actor=actor)
            held.schemas.append(made)
            held.lines = [(1, m) for m in sight.mapped] if sight else []
            held.profile = sight.profile if sight else None
        self._audit("register", dataset.table, None, None, actor)
        return record

    @_whole
    def update(
        self, table: str, changes: Mapping[str, Any], expected_version: int, actor: str
    ) -> DatasetRecord:
        held = self._held(table)
        self._check_alive(held)
        if held.record.version != expected_version:
            raise ConflictError(table, expected_version, held.record.version)
        self._check_still(table)
        before, after = held.record.dataset, changed(held.record.dataset, changes)
        check_change(before, after)
        old, new = dataset_to_dict(before), dataset_to_dict(after)
        names = [name for name in new if new[name] != old[name]]
        if names:
            held.record = replace(held.record, dataset=after, version=expected_version + 1)
            shown = ({n: old[n] for n in names}, {n: new[n] for n in names})
            self._audit("update", table, *shown, actor)
        return held.record

    @_whole
    def set_status(self, table: str, status: Status, actor: str | None = None) -> None:
        held = self._held(table)
        if status is Status.RETIRED:
            self.retire(table, actor or "platform")
        elif status is Status.PAUSED:
            self._move(held, status, actor)
        elif status is not Status.BLOCKED and self._open(table):
            return
        elif held.record.status is Status.PAUSED:
            held.paused_from = status
        elif held.record.status is not Status.RETIRED:
            self._move(held, status, actor)

    @_whole
    def pause(self, table: str, actor: str) -> DatasetRecord:
        held = self._held(table)
        self._check_alive(held)
        return self._move(held, Status.PAUSED, actor)

    @_whole
    def retire(self, table: str, actor: str) -> DatasetRecord:
        held = self._held(table)
        before, paused = held.record.status, held.paused_from
        if before is Status.RETIRED:
            return held.record
        for incident in self._open(table):
            self._close(incident, "retired", actor)
        self._move(held, Status.RETIRED, actor)
        held.retired_from = before
        held.paused_from = Status.LIVE if paused is Status.BLOCKED else paused
        return held.record

    @_whole
    def unretire(self, table: str, actor: str) -> DatasetRecord:
        held = self._held(table)
        if held.record.status is not Status.RETIRED:
            raise InvalidFieldError("table", table, "is not retired", "there is nothing to do")
        paused, begun = held.paused_from, held.progress["head_seq"]
        before = held.retired_from or (Status.BOOTSTRAPPING if begun else Status.REGISTERED)
        self._move(held, Status.LIVE if before is Status.BLOCKED else before, actor)
        if before is Status.PAUSED:
            held.paused_from = paused
        return held.record

    @_whole
    def resume(self, table: str, actor: str) -> DatasetRecord:
        held = self._held(table)
        self._check_alive(held)
        if held.record.status is Status.PAUSED:
            self._move(held, held.paused_from or Status.REGISTERED, actor)
        elif held.record.status is Status.BLOCKED:
            for incident in self._open(table):
                if incident.kind in ("engine", "rule"):
                    self._close(incident, "try again", actor)
            self._unblock(held, actor)
        return held.record

    def _move(self, held: _Held, status: Status, actor: str | None) -> DatasetRecord:
        before = held.record.status
        if before is not status:
            held.record = replace(held.record, status=status)
            held.paused_from = before if status is Status.PAUSED else None
            held.retired_from = None
            table = held.record.dataset.table
            self._audit("status", table, {"status": before}, {"status": status.value}, actor)
        return held.record

    @staticmethod
    def _check_alive(held: _Held) -> None:
        if held.record.status is Status.RETIRED:
            raise InvalidFieldError(
                "table", held.record.dataset.table, "is retired", "register a new one"
            )

    def _check_still(self, table: str) -> None:
        if self.rebuild(table) is not None:
            raise InvalidFieldError("table", table, "is being rebuilt", "end that first")

    # -- rebuilds

    def rebuild(self, table: str) -> Rebuild | None:
        found = (h.rebuild for h in self._tables.values() if h.rebuild is not None)
        return next((r for r in found if r.shadow.rebuild_of == table), None)

    @_whole
    def begin_rebuild(
        self,
        wanted: Dataset,
        name: str,
        base_version: int,
        actor: str,
        *,
        begins_after: int = 0,
        first: SchemaVersion | None = None,
        decisions: Sequence[Decision] = (),
        resolution: str = REBUILT,
    ) -> Shadow:
        live = self._held(wanted.table)
        self._check_alive(live)
        self._check_still(wanted.table)
        if live.record.version != base_version:
            raise ConflictError(wanted.table, base_version, live.record.version)
        shadow = shadow_of(wanted, name, begins_after, keeps_columns=first is not None)
        record = DatasetRecord(shadow, 1, Status.BOOTSTRAPPING, self._clock())
        held = _Held(record, Rebuild(shadow, base_version, actor, self._clock()))
        if first is not None:
            held.schemas = [replace(first, created_at=self._clock(), actor=actor)]
            held.lines = [(1, m) for m in first.mapped]
        held.resolution = resolution
        for one in decisions:
            self._decide(name, one, one.incident, actor)
        self._tables[name] = held
        self._audit("begin_rebuild", wanted.table, None, None, actor)
        return shadow

    @_whole
    def drop_rebuild(self, table: str, name: str, actor: str) -> None:
        known = self.rebuild(table)
        if known is not None and known.shadow.table == name:
            del self._tables[known.shadow.table]
            self._decisions = [x for x in self._decisions if x[0] != known.shadow.table]
            self._audit("abort_rebuild", table, None, None, actor)

    @_whole
    def swap_in(self, table: str, name: str) -> bool:
        live, known = self._held(table), self.rebuild(table)
        if known is None or known.shadow.table != name:
            return False
        actor = known.actor
        new, first = self._tables.pop(name), len(live.schemas)
        live.record = replace(
            live.record, dataset=known.shadow.live, version=live.record.version + 1
        )
        live.schemas = [replace(v, status="SUPERSEDED") for v in live.schemas] + [
            replace(v, version=first + v.version, actor=actor, mapped=()) for v in new.schemas
        ]
        live.lines += [(first + v, m) for v, m in new.lines]
        live.batches = {
            batch: replace(b, applied=_moved(b.applied, name, table, first))
            for batch, b in new.batches.items()
        }
        taken = {n: new.progress[n] for n in _OF_THE_TABLE}
        cleared = {n: getattr(Progress(), n) for n in _CLEARED}
        through = max(live.progress["complete_through"], new.progress["complete_through"])
        live.progress |= taken | cleared | {"complete_through": through}
        self._audit("rebuild", table, None, None, actor)
        for incident in self._open(table):
            self._close(incident, new.resolution, actor)
        self._decisions = [(table if held == name else held, d) for held, d in self._decisions]
        self._unblock(live, actor)
        return True

    # -- schema versions and incidents

    def active_schema(self, table: str) -> SchemaVersion | None:
        held = self._tables.get(table)
        return held.schemas[-1] if held and held.schemas else None

    def schema_versions(self, table: str) -> list[SchemaVersion]:
        return list(self._held(table).schemas)

    @_whole
    def add_schema_version(
        self,
        table: str,
        after: int,
        source: Struct,
        derived: Struct | None,
        changes: Sequence[str],
        actor: str | None = None,
        *,
        mapped: Iterable[Mapped] = (),
    ) -> SchemaVersion:
        schemas = self._held(table).schemas
        found = schemas[-1].version if schemas else 0
        if found != after:
            raise ConflictError(table, after, found)
        if schemas:
            schemas[-1] = replace(schemas[-1], status="SUPERSEDED")
        who = actor or "platform"
        made = SchemaVersion(
            after + 1, source, derived, "ACTIVE", tuple(changes), self._clock(), who
        )  # fmt: skip
        schemas.append(made)
        self._held(table).lines += [(after + 1, m) for m in mapped]
        self._audit("schema_version", table, None, {"version": after + 1}, actor)
        return made

    def profile(self, table: str) -> Mapping[str, Any] | None:
        return self._held(table).profile

    def mapping(self, table: str, upto: int | None = None) -> list[Line]:
        lines = self._held(table).lines
        return list(in_force(x for x in lines if upto is None or x[0] <= upto).values())

    def mappings(self) -> Callable[[str], list[Line]]:
        return lambda table: self.mapping(table) if table in self._tables else []

    def _open(self, table: str) -> list[Incident]:
        return [i for i in self._incidents if i.table == table and i.status == "OPEN"]

    @_whole
    def block(
        self,
        table: str,
        changes: Sequence[Change],
        batch: str,
        samples: Sequence[Mapping[str, object]],
        kind: str = "schema",
        reason: str = "",
        *,
        details: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> int:
        held = self._held(table)
        if (settled := settled_by(self.decisions(table), changes, batch)) is not None:
            return settled
        known = [i for i in self._open(table) if (i.batch, i.kind) == (batch, kind)]
        if not known:
            more = details or {}
            whole = [[{**asdict(c), **more.get(c.path, {})} for c in changes], list(samples)]
            told, shown = json.loads(json.dumps(whole, default=str))
            made = Incident(
                len(self._incidents) + 1, table, "OPEN", batch, tuple(told), tuple(shown),
                self._clock(), None, "", "", kind, reason,
            )  # fmt: skip
            self._incidents.append(made)
            self._audit("block", table, None, {"incident": made.id}, None)
            known = [made]
        if held.record.status is Status.PAUSED:
            held.paused_from = Status.BLOCKED
        elif held.record.status is not Status.RETIRED:
            self._move(held, Status.BLOCKED, None)
        else:
            self._close(known[0], "retired", "platform")
        return known[0].id

    def incidents(
        self, table: str | None = None, status: str | None = None, limit: int = 100
    ) -> list[Incident]:
        if table is not None:
            self._held(table)
        found = [
            i for i in reversed(self._incidents)
            if table in {None, i.table} and status in {None, i.status}
        ]  # fmt: skip
        return found[:limit]

    def incident(self, incident_id: int) -> Incident:
        if not 0 < incident_id <= len(self._incidents):
            raise IncidentNotFoundError(incident_id)
        return self._incidents[incident_id - 1]

    @_whole
    def settle(self, incident_id: int, outcome: Outcome, actor: str) -> Incident:
        found = self.incident(incident_id)
        held = self._held(found.table)
        if found.status != "OPEN" and found.resolution == outcome.resolution:
            return found
        if found.status != "OPEN":
            raise InvalidFieldError("incident", incident_id, "was resolved", "see decisions")
        if outcome.version is not None or outcome.columns is not None:
            self._check_still(found.table)
        if outcome.version is not None:
            new = outcome.version
            self.add_schema_version(
                found.table, new.version - 1, new.source, new.table, new.changes, actor,
                mapped=new.mapped,
            )  # fmt: skip
        for decision in outcome.decisions:
            self._decide(found.table, decision, incident_id, actor)
        if outcome.columns is not None:
            self._change_columns(held, outcome.columns, actor)
        found = self._close(found, outcome.resolution, actor)
        self._unblock(held, actor)
        return found

    def _decide(self, table: str, decision: Decision, incident: int, actor: str) -> None:
        number = 1 + max((d.id for _, d in self._decisions), default=0)
        made = replace(
            decision, id=number, incident=incident, actor=actor, decided_at=self._clock()
        )
        self._decisions.append((table, made))

    def _close(self, found: Incident, resolution: str, actor: str) -> Incident:
        if found.status != "OPEN":
            return found
        found = replace(
            found, status="RESOLVED", resolution=resolution, resolved_by=actor,
            resolved_at=self._clock(),
        )  # fmt: skip
        self._incidents[found.id - 1] = found
        self._held(found.table).progress["load_failures"] = 0
        self._audit("resolve", found.table, None, {"incident": found.id}, actor)
        return found

    def decisions(self, table: str) -> list[Decision]:
        return [d for held, d in self._decisions if held == table]

    @_whole
    def end_decision(self, table: str, decision_id: int, last_seq: int, actor: str) -> Decision:
        self._held(table)
        for place, (held, decision) in enumerate(self._decisions):
            if held == table and decision.id == decision_id:
                if decision.last_seq is None:
                    last = max(last_seq, decision.first_seq)
                    decision = replace(decision, last_seq=last)  # noqa: PLW2901
                    self._decisions[place] = (table, decision)
                    self._audit("end_decision", table, None, {"last_seq": last}, actor)
                return decision
        raise InvalidFieldError("decision", decision_id, "there is none", "see decisions")

    @_whole
    def change_columns(
        self, table: str, new: SchemaVersion, columns: Mapping[str, Mapping[str, Any]], actor: str
    ) -> SchemaVersion:
        self._check_still(table)
        self._change_columns(self._held(table), columns, actor)
        return self.add_schema_version(
            table, new.version - 1, new.source, new.table, new.changes, actor, mapped=new.mapped
        )

    def _change_columns(
        self, held: _Held, columns: Mapping[str, Mapping[str, Any]], actor: str
    ) -> None:
        record = held.record
        dataset = changed(record.dataset, {"columns": columns})
        if dataset != record.dataset:
            held.record = replace(record, dataset=dataset, version=record.version + 1)
            self._audit("update", dataset.table, None, None, actor)

    def _unblock(self, held: _Held, actor: str) -> None:
        if self._open(held.record.dataset.table):
            return
        if held.record.status is Status.BLOCKED:
            self._move(held, Status.LIVE, actor)
        elif held.paused_from is Status.BLOCKED:
            held.paused_from = Status.LIVE

    def blocked_tables(self, kind: str = "schema") -> set[str]:
        return {i.table for i in self._incidents if (i.status, i.kind) == ("OPEN", kind)}

    # -- progress, statistics, gaps

    def progress(self, table: str) -> Progress:
        held = self._held(table)
        owner = held.record.dataset.raw_from if held.rebuild is None else ""
        of_raw = {n: self._held(owner).progress[n] for n in OF_RAW} if owner else {}
        return Progress(**(held.progress | of_raw))

    @_whole
    def update_progress(self, table: str, **values: int | str) -> None:
        unknown = values.keys() - _NAMES
        if unknown:
            raise TypeError(f"Progress has no field {', '.join(sorted(unknown))}")
        held = self._held(table).progress
        for name, value in values.items():
            least = name in SHRINKING and held[name]
            choose = max if name in _GROWING else min if least else None
            held[name] = choose(held[name], value) if choose else value
        for phase in {"dump", "load"}.intersection(n.removesuffix("_error") for n in values):
            failed = bool(values[f"{phase}_error"])
            held[f"failed_{phase}s"] += failed
            since = held[f"{phase}_failing_since"] or self._clock()
            held[f"{phase}_failing_since"] = since if failed else 0

    @_whole
    def drop_absent(self, table: str) -> Sequence[str]:  # noqa: ARG002 - as above
        return ()

    def record_batch(
        self,
        table: str,
        result: WriteResult,
        windows: Mapping[str, int],
        rescued: Mapping[str, int] | None = None,
        lost: Mapping[str, Lost] | None = None,
        absent: Collection[str] | None = None,  # noqa: ARG002 - no schedule drops columns
        *,
        seconds: Mapping[str, float] | None = None,
    ) -> None:
        held = self._held(table)
        counts = None if lost is None else {name: one.lost for name, one in lost.items()}
        delta = self._count(held, result, windows, rescued, counts, seconds)
        for total, part in (
            ("records", delta.written), ("quarantined", delta.quarantined),
            ("deleted", delta.deleted), ("deduplicated", delta.deduplicated),
            ("dropped", delta.dropped), ("quarantined_deletes", delta.quarantined_deletes),
        ):  # fmt: skip
            held.progress[total] += part
        counted = (b.rescued or {} for b in held.batches.values() if b.counted)
        held.progress["rescued"] = sum(sum(paths.values()) for paths in counted)
        self.update_progress(table, applied_seq=result.applied.applied, loaded_at=self._clock())

    def _count(
        self,
        held: _Held,
        result: WriteResult,
        windows: Mapping[str, int],
        rescued: Mapping[str, int] | None,
        lost: Mapping[str, int] | None,
        seconds: Mapping[str, float] | None,
    ) -> Balance:
        applied, delta = result.applied, Balance()
        known = held.batches.get(applied.batch.id)
        if known is not None and known.applied.epoch >= applied.epoch:
            return delta
        if known is not None:
            delta = _minus(delta, known)
            del held.batches[applied.batch.id]
        made = _Batch(
            applied, True, dict(windows), result.files, result.bytes, self._clock(), rescued,
            lost, seconds,
        )  # fmt: skip
        first, last = applied.batch.first_seq, applied.batch.last_seq
        others = [
            o for o in held.batches.values()
            if o.counted and o.applied.batch.last_seq >= first and o.applied.batch.first_seq <= last
        ]  # fmt: skip
        made.counted = not any(
            made.within(o) or (applied.replay and not o.within(made)) for o in others
        )
        held.batches[applied.batch.id] = made
        if not made.counted:
            return delta
        for other in (o for o in others if o.within(made)):
            delta = _minus(delta, other)
            other.counted = False
        return delta + applied.balance

    def counted_batches(self, table: str, first_seq: int, last_seq: int) -> list[CountedBatch]:
        held = [b for b in self._held(table).batches.values() if b.counted]
        found = [CountedBatch(b.applied.batch, b.rescued, b.applied.schema_version) for b in held]
        wanted = [
            c for c in found if c.batch.last_seq >= first_seq and c.batch.first_seq <= last_seq
        ]
        return sorted(wanted, key=lambda c: c.batch.first_seq)

    def batches(self, table: str, limit: int = 100) -> list[BatchStatistics]:
        held = sorted(
            self._held(table).batches.values(),
            key=lambda b: (b.applied.batch.last_seq, b.applied.batch.first_seq),
            reverse=True,
        )
        return [
            BatchStatistics(
                table, b.applied.batch.id, b.applied.applied, b.applied.epoch, b.applied.instant,
                b.applied.schema_version, b.applied.replay, b.counted, b.applied.balance,
                b.windows, b.applied.quarantine_keys, b.files, b.bytes, b.recorded_at,
                b.lost, b.rescued, b.seconds,
            )
            for b in held[:limit]
        ]  # fmt: skip

    def readers(self, table: str) -> Sequence[DatasetRecord]:
        return [r for r in self.list_all() if r.dataset.raw_from == table]

    def accepted_gaps(self, table: str) -> Sequence[Gap]:
        held = self._tables.get(table)
        return sorted(held.gaps, key=lambda g: (g.partition, g.start)) if held else []

    @_whole
    def accept_gaps(self, table: str, gaps: Sequence[Gap]) -> None:
        held = self._held(table)
        for gap in gaps:
            known = {(g.partition, g.start, g.end) for g in held.gaps}
            if (gap.partition, gap.start, gap.end) not in known:
                held.gaps.append(gap)
                self._audit("accept_gap", table, None, asdict(gap), gap.accepted_by)


def _moved(applied: AppliedBatch, name: str, table: str, first: int) -> AppliedBatch:
    old, new = f"quarantine/{name}/", f"quarantine/{table}/"
    keys = tuple(new + key.removeprefix(old) for key in applied.quarantine_keys)
    return replace(applied, schema_version=first + applied.schema_version, quarantine_keys=keys)


def _minus(delta: Balance, batch: _Batch) -> Balance:
    if not batch.counted:
        return delta
    values = asdict(batch.applied.balance)
    return delta + Balance(**{name: -value for name, value in values.items()})
