"""Datasets as code: what `definitions/*.py` say against what the metastore has.

A file holds `Dataset(...)` objects as module variables, alone or in a list or tuple. Datasets that
only the metastore knows are left alone: the API and code may register side by side.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Literal

from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.fitness import check_change
from lake_platform.domain.mapping import Mapped
from lake_platform.domain.progress import DatasetRecord
from lake_platform.errors import InvalidFieldError, LakeError, NameTakenError, SetupError
from lake_platform.metastore.model import dataset_to_dict, parse_dataset
from lake_platform.metastore.repository import Repository
from lake_platform.metastore.service import Registration, UseCases

Action = Literal["register", "change", "none", "error"]


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
        return [s for s in self.steps if s.action in {"register", "change"}]

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


def make_plan(directory: Path, metastore: Repository, check: Check = lambda _: ()) -> Plan:
    """Compares; changes nothing. A file that cannot be read is one step with an error.

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
    for path in sorted(directory.glob("*.py")):
        steps += _steps_of(path, known, seen, check)
    live = [t for t, record in known.items() if record.status is not Status.RETIRED]
    return Plan(tuple(steps), tuple(t for t in live if t.casefold() not in seen))


def apply_plan(plan: Plan, use_cases: UseCases, actor: str) -> Iterator[Outcome]:
    """Carries out each step on its own: one that fails does not keep the others from it."""
    for step in plan.steps:
        if step.action == "error":
            yield Outcome(step.table, step.action, step.error)
        elif step.action != "none" and step.dataset is not None:
            try:
                done = _carry_out(step, step.dataset, use_cases, actor)
            except LakeError as error:
                yield Outcome(step.table, step.action, str(error))
            else:
                told = (tuple(done.warnings), tuple(done.mapped)) if done else (step.told, ())
                yield Outcome(step.table, step.action, "", *told)


def _carry_out(
    step: Step, dataset: Dataset, use_cases: UseCases, actor: str
) -> Registration | None:
    if step.action == "register":
        return use_cases.register_dataset(dataset, actor)
    changes = {d.field: d.after for d in step.differences}
    use_cases.change_dataset(step.table, changes, step.version, actor)
    return None


def _steps_of(
    path: Path, known: dict[str, DatasetRecord], seen: dict[str, str], check: Check
) -> Iterator[Step]:
    try:
        found = list(_datasets_in(_load(path)))
    except (Exception, SystemExit) as error:  # somebody's code: whatever it raises is its error
        reason = str(error) if isinstance(error, LakeError) else f"{type(error).__name__}: {error}"
        yield Step(path.name, path.name, "error", error=f"{path.name}: {reason}")
        return
    for dataset in found:
        name = dataset.table.casefold()  # catalogs fold it
        first = seen.setdefault(name, path.name)
        if first != path.name or sum(d.table.casefold() == name for d in found) > 1:
            why = f"table {dataset.table} is defined twice, in {first} and {path.name}"
            yield Step(dataset.table, path.name, "error", error=why)
            continue
        yield _step(dataset, path.name, known, check)


def datasets_in_file(path: Path) -> list[Dataset]:
    """The datasets one file of definitions holds, each checked as the API checks one.

    Raises:
        SetupError: the file does not run; names what it raised.
        InvalidFieldError: a dataset that cannot be.
    """
    try:
        found = list(_datasets_in(_load(path)))
    except (Exception, SystemExit) as error:  # somebody's code
        reason = str(error) if isinstance(error, LakeError) else f"{type(error).__name__}: {error}"
        raise SetupError(f"{path}: {reason}; mend the file") from None
    return [parse_dataset(dataclasses.asdict(dataset)) for dataset in found]


def _step(dataset: Dataset, source: str, known: dict[str, DatasetRecord], check: Check) -> Step:
    record = known.get(dataset.table)
    try:
        # A Python file can hold any type; the same strict check as the API's.
        checked = parse_dataset(dataclasses.asdict(dataset))
        told = tuple(check(checked))
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
        check_change(record.dataset, checked)
    except LakeError as error:
        return Step(dataset.table, source, "error", error=f"{source}: {error}")
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


class _Fresh(SourceFileLoader):
    """Never from a .pyc: an edit of the same length within a second would not be seen."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def _load(path: Path) -> ModuleType:
    name = f"lake_definitions_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_Fresh(name, str(path)))
    if spec is None or spec.loader is None:
        raise SetupError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look a module up by its name
    try:
        # What a file prints is no part of our answer, which may be JSON.
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    finally:
        del sys.modules[name]
    return module


def _datasets_in(module: ModuleType) -> Iterator[Dataset]:
    """Each object once, however many names it has."""
    met: set[int] = set()
    for value in vars(module).values():
        for item in value if isinstance(value, list | tuple) else (value,):
            if isinstance(item, Dataset) and id(item) not in met:
                met.add(id(item))
                yield item
