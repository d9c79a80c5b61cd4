"""`lake preview`: what a change would make of the newest raw windows, held against what the table's
own definition makes of them. Free of CLI.

Both are loaded as production loads them, from the raw that is there, into a storage for once, with
a metastore that keeps what it is told to itself. Table, metastore and raw are read, and no more.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lake_platform.domain.bundle import EngineFor, Limits, Ports
from lake_platform.domain.decisions import Decision
from lake_platform.domain.diff import diff
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.own_columns import PLACE
from lake_platform.domain.ports import Clock, Kafka, Workers
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.resolutions import Asked
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import InvalidFieldError, RawExpiredError
from lake_platform.metastore.service import UseCases
from lake_platform.raw import log as raw_log
from lake_platform.rebuild.asked import differing, wanted
from lake_platform.rebuild.comparison import Column, differing_columns
from lake_platform.rebuild.rebuild import Rebuilder
from lake_platform.trial.loaded import ReadRows, Side, Wanted, load_side, with_samples
from lake_platform.trial.once import BesideRaw, Chosen, chosen
from lake_platform.trial.remedy import command_for
from lake_platform.trial.side_by_side import Compared, side_by_side

WINDOWS, MOST_BYTES = 3, 32 << 20
Tell = Callable[[str], None]
_Loaded = tuple[Side, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class PreviewBench:
    """`real`: the storage of the tables, which is read; `once`: one that goes afterwards, in which
    `engine` writes and `rows` reads."""

    use_cases: UseCases
    kafka: Kafka
    real: ObjectStore
    once: ObjectStore
    engine: EngineFor
    rows: ReadRows
    clock: Clock
    workers: Workers
    limits: Limits

    @property
    def ports(self) -> Ports:
        return Ports(
            self.kafka, self.real, self.use_cases.store, self.engine, self.clock, self.workers
        )


@dataclass(frozen=True, slots=True)
class Question:
    """`changes` as a rebuild takes them, or what is said of `incident`. `windows`: how many of the
    newest; `most_bytes` of raw JSON that are read at most."""

    changes: Mapping[str, Any] = field(default_factory=dict)
    incident: int | None = None
    asked: Asked = field(default_factory=Asked)
    windows: int = WINDOWS
    most_bytes: int = MOST_BYTES


@dataclass(frozen=True)
class Previewed:
    """`columns`: of the table, those that differ. `command`: what carries the change out."""

    table: str
    chosen: Chosen
    changes: Mapping[str, tuple[Any, Any]]
    before: Side
    after: Side
    columns: Sequence[Column]
    rows: Compared
    command: str
    warnings: Sequence[str] = ()


def preview(
    table: str, question: Question, bench: PreviewBench, tell: Tell = lambda _: None
) -> Previewed:
    """A bench is for one preview.

    Raises:
        DatasetNotFoundError, IncidentNotFoundError.
        InvalidFieldError: nothing would differ, the definition cannot be, there is no raw, or too
            much of it.
        RawExpiredError: no raw is left.
        EngineError, StorageUnavailableError, MetastoreUnavailableError: try again.
    """
    return _Preview(table, question, bench, tell).done()


class _Preview:
    def __init__(self, table: str, question: Question, bench: PreviewBench, tell: Tell) -> None:
        self._question, self._bench, self._tell = question, bench, tell
        self._store = bench.use_cases.store
        self._live = self._store.get(table).dataset
        self._looked_up = bench.ports
        self._warnings: list[str] = []

    def done(self) -> Previewed:
        table = self._live.table
        _check_asked(table, self._question)
        found = self._raw()
        self._tell(
            f"{table}: {len(found.windows)} windows, {found.records} records, "
            f"{found.raw_bytes / 1e6:.1f} MB of raw"
        )
        active = self._store.active_schema(table)
        known = self._store.decisions(self._live.live_table)
        before = Wanted(self._live, active, known)
        after = self._after(active, known)
        sides = [self._side(name, w, found) for name, w in (("before", before), ("after", after))]
        return self._told(found, after, *sides)

    def _told(self, found: Chosen, after: Wanted, one: _Loaded, other: _Loaded) -> Previewed:
        columns = differing_columns(one[0].columns, other[0].columns)
        changes = diff(one[0].columns, other[0].columns)
        active = self._store.active_schema(self._live.table)
        command = _resolving(self._question) or command_for(
            self._live, after.dataset, self._question.changes, active, changes
        )
        return Previewed(
            table=self._live.table,
            chosen=found,
            changes=differing(self._live, after.dataset),
            before=one[0],
            after=other[0],
            columns=tuple(columns),
            rows=side_by_side((self._live, one[1]), (after.dataset, other[1])),
            command=command,
            warnings=self._warnings,
        )

    def _side(self, name: str, wanted: Wanted, found: Chosen) -> _Loaded:
        self._tell(f"{name} the change: loading")
        side = load_side(name, wanted, found, self._bench.ports, self._bench.once,
                         self._bench.limits, self._tell)  # fmt: skip
        self._tell(f"{name} the change: reading the rows")
        # Besides there is what a table's folders are named by.
        names = {*(f.name for f in side.columns.fields), *PLACE}
        held = self._bench.rows(side.shadow, side.columns)
        rows = [{n: v for n, v in row.items() if n in names} for row in held]
        side.rescued = with_samples(side, rows)
        return side, rows

    def _after(self, active: SchemaVersion | None, known: Sequence[Decision]) -> Wanted:
        question, use_cases = self._question, self._bench.use_cases
        if question.incident is None:
            return self._changed(question.changes, active, known)
        anew = use_cases.rebuilding(question.incident, question.asked)
        if anew is not None:
            return self._changed(anew.changes, active, _with(known, anew.decisions))
        dataset, schema, decided = use_cases.tried(question.incident, question.asked)
        return Wanted(dataset, schema, _with(known, decided))

    def _changed(
        self, changes: Mapping[str, Any], active: SchemaVersion | None, decided: Sequence[Decision]
    ) -> Wanted:
        after = wanted(self._live, changes)
        rebuilder = Rebuilder(
            self._store, self._looked_up, self._bench.limits, self._bench.use_cases.check_on
        )
        made = rebuilder.columns_of(self._live, after, None)
        self._warnings += self._bench.use_cases.check_on(after, made.source if made else None)
        if made is None:
            if active is not None:
                self._warnings.append(
                    "names and types come of the records of these windows; a rebuild takes them "
                    "from the first records of raw"
                )
            return Wanted(after, None, decided)
        return Wanted(after, rebuilder.first_version(self._live, after, made), decided)

    def _raw(self) -> Chosen:
        table, question = self._live.table, self._question
        log = list(raw_log.of_table(self._bench.real, self._live))
        kept = [c for c in log if not c.expired_at]
        held = sorted({w for c in kept for w in c.windows})
        if not held:
            raise _without_raw(table, log)
        asked = {*held[-question.windows :], *self._broken_in(held)}
        applied = self._store.progress(table).applied_seq
        whole = [c if not c.expired_at else replace(c, objects=()) for c in log]
        found = chosen(whole, asked, applied)
        if found.raw_bytes > question.most_bytes:
            raise _too_much(found, question)
        if len(kept) < len(log):
            bench = self._bench
            list(found.log_into(bench.once, self._live.raw_table))
            self._looked_up = replace(bench.ports, store=BesideRaw(bench.once, bench.real))
            self._warnings.append(
                "retention took raw of older windows, so the table cannot be made anew of it"
            )
        if held[0] not in asked:
            self._warnings.append(
                f"older windows than {found.windows[0]} were not looked at: rows of before count "
                f"as not there, and values there may need other columns"
            )
        return found

    def _broken_in(self, held: Iterable[str]) -> set[str]:
        """Windows of the records that an incident shows."""
        if self._question.incident is None:
            return set()
        incident = self._store.incident(self._question.incident)
        if incident.table != self._live.table:
            raise InvalidFieldError(
                "incident", incident.id, f"is of table {incident.table}",
                f"preview that one: lake preview {incident.table} --incident {incident.id}",
            )  # fmt: skip
        firsts = [c.get("first") or {} for c in incident.changes]
        named = {str(s.get("window", "")) for s in (*incident.samples, *firsts)}
        return named & set(held)


def _with(known: Sequence[Decision], new: Sequence[Decision]) -> tuple[Decision, ...]:
    last = max((d.id for d in known), default=0)
    return (*known, *(replace(d, id=last + n) for n, d in enumerate(new, 1)))


def _check_asked(table: str, question: Question) -> None:
    if question.changes and question.incident is not None:
        raise InvalidFieldError(
            "incident", question.incident, "is asked for together with changes of the definition",
            "look at one of them",
        )  # fmt: skip
    if not question.changes and question.incident is None:
        raise InvalidFieldError(
            "change", {}, f"nothing of {table} would differ",
            f"say what is to change: lake preview {table} --change field=JSON, or --incident ID "
            f"--resolve RESOLUTION",
        )  # fmt: skip
    if question.windows < 1:
        raise InvalidFieldError("windows", question.windows, "is none", "give 1 or more")


def _resolving(question: Question) -> str:
    if question.incident is None:
        return ""
    asked = question.asked
    columns = [f"--column {shlex.quote(f'{path}={r}')}" for path, r in asked.columns.items()]
    words = [asked.resolution, *columns, *(["--always"] if asked.always else [])]
    return " ".join(["lake incidents resolve", str(question.incident), *filter(None, words)])


def _without_raw(table: str, log: Sequence[RawCommit]) -> Exception:
    if not log:
        return InvalidFieldError(
            "table", table, "has no raw to look at", f"dump it first: lake dump {table}"
        )
    windows = sorted({w for c in log for w in c.windows})
    return RawExpiredError(
        table, log[0].seq, log[-1].seq, windows,
        "there is nothing to look at. A preview reads raw that is left: dump what Kafka has since",
    )  # fmt: skip


def _too_much(found: Chosen, question: Question) -> InvalidFieldError:
    size, most = found.raw_bytes / 1e6, question.most_bytes / 1e6
    least = -(-found.raw_bytes // 1_000_000)
    fewer = f"give fewer, or --max-mb {least}" if question.windows > 1 else f"give --max-mb {least}"
    return InvalidFieldError(
        "windows", question.windows, f"these hold {size:.1f} MB of raw, more than the "
        f"{most:.1f} MB a preview reads", fewer,
    )  # fmt: skip
