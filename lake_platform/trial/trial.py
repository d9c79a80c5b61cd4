"""A trial: records of files through registration, dump and load, as production runs them.

The topic is in memory and the home is one of its own; everything else is what production has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.resolutions import Asked
from lake_platform.domain.rules import Broken, added
from lake_platform.domain.schema import Struct
from lake_platform.dump.dump import dump
from lake_platform.errors import FixConfigError, InvalidFieldError, LakeError
from lake_platform.load import checks
from lake_platform.load.load import load
from lake_platform.maintain.compaction import compact_table
from lake_platform.metastore.altering import Altering
from lake_platform.metastore.registration import Registration
from lake_platform.metastore.repository import Repository
from lake_platform.metastore.service import UseCases
from lake_platform.raw import log as raw_log
from lake_platform.rebuild.altering import alter
from lake_platform.rebuild.rebuild import Rebuilder
from lake_platform.rebuild.resolving import resolve
from lake_platform.trial.acts import Act
from lake_platform.trial.feed import Feed, Topic
from lake_platform.trial.records import Record
from lake_platform.trial.rows import Rows, SparkRows, read_rows
from lake_platform.trial.steps import Step, outcome_of

if TYPE_CHECKING:
    from lake_platform.audit.files import ArrowFiles

ACTOR = "lake try"


class Schemas(Protocol):
    def turn(self) -> None:
        """Before a batch, which may be written by another schema."""
        ...


@dataclass(frozen=True)
class Bench:
    """What a trial works on; see benches.build_bench."""

    topic: Topic
    ports: Ports
    limits: Limits
    use_cases: UseCases
    files: ArrowFiles
    spark_rows: SparkRows
    schemas: Schemas | None = None

    @property
    def metastore(self) -> Repository:
        return self.use_cases.store


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One of production's checks. `error`: it could give no verdict."""

    name: str
    passed: bool
    message: str
    error: Exception | None = None


class Trial:
    """Registers with its first batch; each step ends in an outcome, none ends the trial."""

    def __init__(self, bench: Bench, dataset: Dataset) -> None:
        self.bench = bench
        self.table = dataset.table
        self.steps: list[Step] = []
        self.registration: Registration | None = None
        self.wanted = dataset
        self.feed = Feed(bench.topic, dataset.topic, bench.ports.clock)

    @property
    def dataset(self) -> Dataset:
        return self.bench.metastore.get(self.table).dataset

    @property
    def schema(self) -> SchemaVersion | None:
        return self.bench.metastore.active_schema(self.table)

    def batch_file(self, path: Path, *, whole: bool = False) -> Step:
        """Raises: as `batch`, and InvalidFieldError for a line that is no record."""
        return self._batch(str(path), self.feed.send_file(path, whole=whole))

    def batch(self, records: Iterator[Record], source: str = "batch") -> Step:
        """Sends the records, dumps them, loads. With the first batch the dataset is registered, as
        one is whose topic holds it.

        Raises:
            LakeError: registration refused the dataset. Later errors are in the step.
        """
        return self._batch(source, self.feed.send(source, records))

    def _batch(self, source: str, chunks: Iterator[int]) -> Step:
        step = Step("batch", source)
        if self.bench.schemas is not None:
            self.bench.schemas.turn()
        first = next(chunks, 0)
        if self.registration is None:
            self.registration = self.bench.use_cases.register_dataset(self.wanted, ACTOR)
        self.steps.append(step)
        step.outcome = "error"  # until it ends
        step.sent = first
        self._dump(step)
        for sent in chunks:
            step.sent += sent
            self._dump(step)
        return step if step.error else self._load(step)

    def _dump(self, step: Step) -> None:
        """After an error what is sent stays in the topic, as in production."""
        if step.error or not step.sent:
            return
        try:
            for commit in dump(self.table, self.bench.ports, self.bench.limits):
                self.feed.forget(commit.next_offsets)
        except LakeError as error:
            step.error, step.outcome = error, outcome_of(error, step)

    def act(self, act: Act) -> Step:
        """What an operator asks for between two batches. What is refused stays so; nothing ends."""
        step = Step("act", act.source, act.to_dict(), outcome="error")
        self.steps.append(step)
        if act.op == "load":
            return self._load(step)
        if act.op == "replay":
            return self._load(step, act.values.get("windows") or self.windows(), replay=True)
        resolving = act.op == "resolve"
        try:
            step.changes = self._resolve(step, act.values) if resolving else self._asked(step, act)
            step.outcome = "done"
        except FixConfigError as error:
            step.error, step.outcome = error, "refused"
        except Exception as error:  # as of a load
            step.error = error
        # In production the next load follows by itself.
        return self._load(step) if resolving and not step.error else step

    def _asked(self, step: Step, act: Act) -> tuple[str, ...]:
        use_cases, values = self.bench.use_cases, act.values
        if act.op == "add_column":
            made = use_cases.add_column(self.table, values["name"], values["type"], ACTOR)
            return made.changes
        if act.op == "drop_column":
            return use_cases.drop_column(self.table, values["name"], ACTOR).changes
        if act.op == "widen_column":
            kind = values["type"]
            return use_cases.widen_column(self.table, values["name"], kind, ACTOR).changes
        if act.op == "rename_column":
            return self._altered(step, use_cases.renaming(self.table, values["name"], values["to"]))
        if act.op == "alias":
            asked = use_cases.aliasing(self.table, values["column"], values["key"])
            return self._altered(step, asked)
        if act.op == "change":
            version = self.bench.metastore.get(self.table).version
            told: list[str] = []
            use_cases.change_dataset(self.table, values["fields"], version, ACTOR, told.append)
            return tuple(told)
        if act.op == "compact":
            return self._compacted()
        {"pause": use_cases.pause, "resume": use_cases.resume}[act.op](self.table, ACTOR)
        return ()

    def _resolve(self, step: Step, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Every open incident in the same way, as a trial has one at most."""
        given = {name: values[name] for name in ("columns", "always") if name in values}
        asked, bench = Asked(values.get("resolution", ""), **given), self.bench
        if asked.new_table:
            raise InvalidFieldError(
                "resolution", str(asked), "lake try follows one table",
                "leave it out, and try the records that are held as a table of their own",
            )  # fmt: skip
        held = bench.metastore.incidents(self.table, "OPEN")
        if not held:
            raise InvalidFieldError(
                "resolve", self.table, "no incident is open", "leave it out, or load before"
            )
        for incident in held:
            step.loads += resolve(bench.use_cases, self._rebuilder(), incident.id, asked, ACTOR)
        closed = [bench.metastore.incident(i.id) for i in held]
        return tuple(f"incident {i.id}: {i.resolution}" for i in closed)

    def _altered(self, step: Step, asked: Altering) -> tuple[str, ...]:
        step.loads += alter(self.bench.use_cases, self._rebuilder(), asked, ACTOR)
        return self.schema.changes if self.schema and step.loads else ()

    def _rebuilder(self) -> Rebuilder:
        bench = self.bench
        return Rebuilder(bench.metastore, bench.ports, bench.limits, bench.use_cases.check_on)

    def _compacted(self) -> tuple[str, ...]:
        found = compact_table(self.table, self.bench.ports, self.bench.limits, after=1)
        if found is None:
            return ("nothing to compact",)
        put_off = f", put off: {found.put_off}" if found.put_off else ""
        return (f"{found.commits} commits compacted{put_off}",)

    def _load(self, step: Step, windows: list[str] | None = None, *, replay: bool = False) -> Step:
        bench = self.bench
        try:
            for result in load(self.table, bench.ports, bench.limits, windows, replay):
                step.loads.append(result)
        except Exception as error:  # a step's boundary: whatever an engine throws is its outcome
            step.error = error
        step.outcome = outcome_of(step.error, step)
        return step

    def windows(self) -> list[str]:
        """All windows the raw log has, in order."""
        held = raw_log.iter_commits_after(self.bench.ports.store, self.table, 0)
        return sorted({window for commit in held for window in commit.windows})

    def rows(self, limit: int | None = None) -> Rows:
        schema = self.schema
        columns = schema.columns if schema else Struct()
        return read_rows(self.dataset, columns, self.bench.files, self.bench.spark_rows, limit)

    def pending(self) -> int:
        """Raw commits that are not in the table."""
        store = self.bench.ports.store
        state = self.bench.ports.engine(self.dataset.format).state(self.dataset)
        return sum(1 for _ in raw_log.iter_commits_after(store, self.table, state.applied))

    @property
    def waits(self) -> bool:
        status = self.bench.metastore.get(self.table).status
        return status in {Status.BLOCKED, Status.PAUSED} or self.pending() > 0

    def checks(self, rows: Rows) -> list[CheckResult]:
        """Production's own, where they tell something of a table that was just made."""
        found = [self._balance()]
        dataset = self.dataset
        if not any(step.loads for step in self.steps):
            return found
        found.append(_verdict("primary_key", lambda: self._primary_key(rows)))
        if dataset.rules:
            found.append(self._rules())
        return found

    def _balance(self) -> CheckResult:
        off = [s.source for s in self.steps if s.balance.difference]
        said = f"the records of {', '.join(off)} do not add up" if off else "each batch adds up"
        return CheckResult("balance", not off, said)

    def _primary_key(self, rows: Rows) -> tuple[bool, str]:
        count, keys, nulls = checks.primary_key(self.table, self.bench.ports)
        said = f"{count - keys} doubled and {nulls} null keys in {count} rows"
        if count != rows.total:
            return False, f"{said}, but {rows.read_by} reads {rows.total} rows"
        return count == keys and not nulls, said

    def _rules(self) -> CheckResult:
        found: dict[str, Broken] = {}
        for step in self.steps:
            found = added(found, step.broken)
        listed = "; ".join(
            f"{name} ({b.condition.policy}) broken by {b.rows} rows, as {b.samples[0]['value']}"
            for name, b in found.items()
        )
        return CheckResult("rules", not found, listed or "all rules hold in every batch")


def _verdict(name: str, check: Callable[[], tuple[bool, str]]) -> CheckResult:
    try:
        passed, said = check()
    except Exception as error:  # a check that gives no verdict is a finding, not the end
        return CheckResult(name, False, str(error).splitlines()[0], error)
    return CheckResult(name, passed, said)
