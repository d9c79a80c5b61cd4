"""Files of definitions: Python that holds `Dataset(...)` objects as module variables, alone or in a
list or tuple."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from lake_platform.code.package import Package
from lake_platform.domain.dataset import Dataset
from lake_platform.errors import LakeError, SetupError
from lake_platform.metastore.model import parse_dataset


def files_in(directory: Path) -> list[Path]:
    """All Python files there and in its folders, but for hidden ones."""
    found = sorted(directory.rglob("*.py"))
    return [
        path for path in found
        if not any(part.startswith((".", "__")) for part in path.relative_to(directory).parts)
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refused:
    """A `Dataset(...)` that cannot be; `table` is empty where it names none."""

    table: str
    error: SetupError
    made: Dataset = field(repr=False)


@dataclass(frozen=True, slots=True)
class CodeFile:
    """What a file defines, and what of it cannot be."""

    datasets: tuple[Dataset, ...]
    refused: tuple[Refused, ...] = ()


def read_datasets(path: Path, directory: Path | None = None) -> CodeFile:
    """As the file made them; of those that can be nothing is checked that Python does not.
    `directory`: of the definitions, whose modules it may import relatively; else its own.

    Raises: SetupError, which says what the file raised, and in which line.
    """
    refused: list[Refused] = []
    try:
        with _noted(path, refused), Package(directory or path.parent) as package:
            found = list(_datasets_in(package.file(path)))
    except (Exception, SystemExit) as error:  # somebody's code: whatever it raises is its error
        raise _said(_where(path, error), error) from None
    wrong = {id(one.made) for one in refused}
    return CodeFile(tuple(d for d in found if id(d) not in wrong), tuple(refused))


def datasets_in_file(
    path: Path, table: str | None = None, directory: Path | None = None
) -> list[Dataset]:
    """The datasets one file of definitions holds, each checked as the API checks one. With `table`
    only what is wrong with that one counts.

    Raises:
        SetupError: the file does not run, or a dataset cannot be; names what it raised.
        InvalidFieldError: a dataset that cannot be.
    """
    held, found = read_datasets(path, directory), []
    for one in held.refused:
        if table in (None, one.table):
            raise one.error
    for dataset in held.datasets:
        try:
            found.append(parse_dataset(dataclasses.asdict(dataset)))
        except LakeError:
            if table in (None, dataset.table):
                raise
    return found


def line_of(path: Path, table: str) -> str:
    """`orders.py:12`, where the file names the table; without a line where it does not plainly."""
    plain = re.compile(rf"""["']{re.escape(table)}["']""")
    lines = path.read_text(errors="replace").splitlines()
    found = (n for n, line in enumerate(lines, 1) if plain.search(line))
    line = next(found, None)
    return path.name if line is None else f"{path.name}:{line}"


@contextlib.contextmanager
def _noted(path: Path, refused: list[Refused]) -> Iterator[None]:
    """Meanwhile a `Dataset(...)` that cannot be raises nothing, so that the rest of its file, and
    of the list it stands in, is read all the same: only here one can step in between a call and the
    statement it is a part of."""
    make = Dataset.__init__

    def init(self: Dataset, *given: Any, **fields: Any) -> None:
        try:
            make(self, *given, **fields)
        except (LakeError, TypeError) as error:  # TypeError: no such field
            table = fields.get("table", "")
            where = _last_line(path, traceback.extract_stack())
            name = table if isinstance(table, str) else ""
            refused.append(Refused(name, _said(where, error), self))

    Dataset.__init__ = init  # type: ignore[method-assign]
    try:
        yield
    finally:
        Dataset.__init__ = make  # type: ignore[method-assign]


def _said(where: str, error: BaseException) -> SetupError:
    reason = str(error) if isinstance(error, LakeError) else f"{type(error).__name__}: {error}"
    return SetupError(f"{where}: {reason}")


def _where(path: Path, error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"{path}:{error.lineno}"
    return _last_line(path, traceback.extract_tb(error.__traceback__))


def _last_line(path: Path, frames: traceback.StackSummary) -> str:
    own = path.absolute()
    lines = [frame.lineno for frame in frames if Path(frame.filename).absolute() == own]
    return f"{path}:{lines[-1]}" if lines else str(path)


def _datasets_in(module: ModuleType) -> Iterator[Dataset]:
    """Each object once, however many names it has."""
    met: set[int] = set()
    for value in vars(module).values():
        for item in value if type(value) in (list, tuple) else (value,):
            if isinstance(item, Dataset) and id(item) not in met:
                met.add(id(item))
                yield item
