"""Datasets as code: what the files in `definitions/` say against what the metastore has.

Datasets that only the metastore knows are left alone, unless the plan is to prune: the API and code
may register side by side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.fitness import check_change
from lake_platform.domain.mapping import Mapped
from lake_platform.domain.progress import DatasetRecord
from lake_platform.errors import InvalidFieldError, LakeError, NameTakenError, SetupError
from lake_platform.metastore.code_files import files_in, line_of, read_datasets
from lake_platform.metastore.keyed import as_stored
from lake_platform.metastore.model import dataset_to_dict, parse_dataset
from lake_platform.metastore.registration import Registration
from lake_platform.metastore.repository import Repository
from lake_platform.metastore.service import UseCases

Action = Literal["register", "change", "retire", "none", "error"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One field: `before` is None for a new dataset."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Step:
    """What applying would do to one table. `error` says why nothing can be done, `told` how columns
    change."""

    table: str
    source: str
    action: Action
    differences: tuple[Difference, ...] = ()
    version: int = 0
    error: str = ""
    told: tuple[str, ...] = ()
    dataset: Dataset | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """`only_registered` are tables that no file defines."""

    steps: tuple[Step, ...]
    only_registered: tuple[str, ...] = ()

    @property
    def changes(self) -> list[Step]:
        return [s for s in self.steps if s.action in {"register", "change", "retire"}]

    @property
    def errors(self) -> list[Step]:
        return [s for s in self.steps if s.action == "error"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one step; `error` is empty when it was carried out."""

    table: str
    action: Action
    error: str = ""
    warnings: tuple[str, ...] = ()
    mapped: tuple[Mapped, ...] = ()


Check = Callable[[Dataset], Sequence[str]]
"""Raises InvalidFieldError for a definition that could not be applied; returns how the columns of
its table change (UseCases.check)."""


Pinned = Callable[[Dataset], Dataset]


@dataclass(frozen=True, slots=True)
class _Checks:
    directory: Path
    check: Check
    pinned: Pinned


def make_plan(
    directory: Path,
    metastore: Repository,
    check: Check = lambda _: (),
    *,
    prune: bool = False,
    pinned: Pinned = lambda dataset: dataset,
) -> Plan:
    """Compares; changes nothing. A file that cannot be read is one step with an error. `prune`:
    what no file defines is to be retired. `pinned`: UseCases.pinned.

    Raises:
        SetupError: `directory` does not exist.
        MetastoreUnavailableError: try again.
    """
    if not directory.is_dir():
        raise SetupError(
            f"there is no directory {directory}; create it, or set LAKE_DEFINITIONS_DIR"
        )
    steps: list[Step] = []

    def unreadable(table: str, error: LakeError) -> None:
        why = f"stored definition: {error}"
        steps.append(Step(table, "metastore", "error", error=why))

    stored = metastore.list_all(include_retired=True, on_broken=unreadable)
    known = {r.dataset.table: r for r in stored}
    seen: dict[str, str] = {}
    checks = _Checks(directory, check, pinned)
    for path in files_in(directory):
        steps += _steps_of(path, str(path.relative_to(directory)), known, seen, checks)
    live = [t for t, record in known.items() if record.status is not Status.RETIRED]
    left = [t for t in live if t.casefold() not in seen]
    steps = [_beside(step, [known[t] for t in left]) for step in steps]
    if not prune:
        return Plan(tuple(steps), tuple(left))
    if any(step.action == "error" for step in steps):
        why = "not retired: a file has errors, and may be what defines it; mend that first"
        return Plan((*steps, *(Step(t, "metastore", "error", error=f"{t}: {why}") for t in left)))
    gone = (Step(t, "metastore", "retire") for t in left)
    return Plan((*steps, *gone))


def _beside(step: Step, left: Sequence[DatasetRecord]) -> Step:
    """A new table that may be a renamed one says what will become of the other."""
    if step.action != "register" or step.dataset is None:
        return step
    same = [r.dataset.table for r in left if r.dataset.topic == step.dataset.topic]
    told = (
        f"{table}, which no file defines, is of the same topic: a table of another name is a new "
        f"one, built from what Kafka still has, and {table} stays; with raw_from={table!r} it "
        f"begins with what that has in raw"
        for table in same
    )
    return replace(step, told=(*step.told, *told))


def apply_plan(plan: Plan, use_cases: UseCases, actor: str) -> Iterator[Outcome]:
    """Carries out each step on its own: one that fails does not keep the others from it."""
    for step in plan.steps:
        if step.action == "error":
            yield Outcome(step.table, step.action, step.error)
        elif step.action != "none":
            try:
                done = _carry_out(step, use_cases, actor)
            except LakeError as error:
                yield Outcome(step.table, step.action, str(error))
            else:
                told = (tuple(done.warnings), tuple(done.mapped)) if done else (step.told, ())
                yield Outcome(step.table, step.action, "", *told)


def _carry_out(step: Step, use_cases: UseCases, actor: str) -> Registration | None:
    if step.action == "retire":
        use_cases.retire(step.table, actor)
    elif step.action == "register" and step.dataset is not None:
        return use_cases.register_dataset(step.dataset, actor)
    else:
        changes = {d.field: d.after for d in step.differences}
        use_cases.change_dataset(step.table, changes, step.version, actor)
    return None


def _steps_of(
    path: Path,
    source: str,
    known: dict[str, DatasetRecord],
    seen: dict[str, str],
    checks: _Checks,
) -> Iterator[Step]:
    try:
        held = read_datasets(path, checks.directory)
    except SetupError as error:
        why = f"{_short(path, error)}; nothing of this file was looked at"
        yield Step(source, source, "error", error=why)
        return
    for refused in held.refused:
        if refused.table:  # a file does define it: it is not to be retired
            seen.setdefault(refused.table.casefold(), source)
        yield Step(refused.table or source, source, "error", error=_short(path, refused.error))
    found = held.datasets
    for dataset in found:
        name = dataset.table.casefold()  # catalogs fold it
        first = seen.setdefault(name, source)
        if first != source or sum(d.table.casefold() == name for d in found) > 1:
            why = f"table {dataset.table} is defined twice, in {first} and {source}"
            yield Step(dataset.table, source, "error", error=why)
            continue
        yield _step(dataset, path, source, known, checks)


def _short(path: Path, error: SetupError) -> str:
    return str(error).removeprefix(str(path.parent) + "/")


def _step(
    dataset: Dataset, path: Path, source: str, known: dict[str, DatasetRecord], checks: _Checks
) -> Step:
    record = known.get(dataset.table)
    try:
        # A Python file can hold any type; the same strict check as the API's.
        checked = checks.pinned(parse_dataset(dataclasses.asdict(dataset)))
        told = tuple(checks.check(checked))
        wanted = dataset_to_dict(checked)
        if record is None:
            if dataset.table.casefold() in {table.casefold() for table in known}:
                raise NameTakenError(dataset.table)
            given = _not_default(checked, wanted)
            differences = tuple(Difference(name, None, value) for name, value in given.items())
            return Step(dataset.table, source, "register", differences, dataset=checked)
        if record.status is Status.RETIRED:
            raise InvalidFieldError(
                "table",
                dataset.table,
                "is retired",
                f"remove it, or take it back: lake datasets unretire {dataset.table}",
            )
        checked = as_stored(checked, record.dataset)
        wanted = dataset_to_dict(checked)
        check_change(record.dataset, checked)
    except LakeError as error:
        where = line_of(path, dataset.table)
        return Step(dataset.table, source, "error", error=f"{where}: {error}")
    now = dataset_to_dict(record.dataset)
    changed = tuple(
        Difference(name, now[name], value) for name, value in wanted.items() if now[name] != value
    )
    action: Action = "change" if changed else "none"
    return Step(dataset.table, source, action, changed, record.version, told=told, dataset=checked)


def _not_default(dataset: Dataset, plain: dict[str, Any]) -> dict[str, Any]:
    bare = dataset_to_dict(dataclasses.replace(_BARE, topic=dataset.topic, table=dataset.table))
    needed = ("topic", "table")
    return {n: value for n, value in plain.items() if n in needed or value != bare[n]}


_BARE = Dataset(topic="t", table="t")
