"""SQL over one table, by engines that write none: Arrow reads Parquet, hudi-rs reads Hudi, DuckDB
answers. The SQL can read that table and nothing else: no file, no network, no setting."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lake_platform.domain.dataset import Dataset
from lake_platform.errors import InvalidFieldError, NothingToQueryError, TableUnreadableError
from lake_platform.query.values import plain

if TYPE_CHECKING:
    import duckdb

    from lake_platform.query.tables import Readable

MEMORY = "1GB"
_BATCH_ROWS = 2_048
_LOCKED = ("TimeZone = 'UTC'", "enable_external_access = false", "lock_configuration = true")
_STREAM = "reading the stream registered as"
_SCANS = ("PYTHON_ARROW_SCAN", "ARROW_SCAN")


@dataclass(frozen=True, slots=True)
class Answer:
    """`rows` as Python values that JSON has; `cut` when there are more. `notes` say what is not as
    one may think."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    cut: bool
    notes: tuple[str, ...] = field(default_factory=tuple)


def query(dataset: Dataset, table: Readable, sql: str, limit: int) -> Answer:
    """The first `limit` rows; 0 is all.

    Raises:
        InvalidFieldError: the SQL is no single SELECT, or does not run.
        NothingToQueryError: nothing is loaded.
        StorageUnavailableError, TableUnreadableError.
    """
    import duckdb

    if limit < 0:
        raise InvalidFieldError("limit", limit, "below 0", "give a number of rows, 0 for all")
    schema = table.schema()
    if not schema.names:
        raise NothingToQueryError(dataset.table)
    with tempfile.TemporaryDirectory(prefix="lake-query-") as scratch:
        config: dict[str, str | bool | int | float | list[str]] = {
            "python_enable_replacements": "false",  # else SQL reads our own variables
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": MEMORY,
            "temp_directory": scratch,
        }
        with duckdb.connect(f"{scratch}/query.db", config=config) as base:
            # Before the SQL is so much as looked at: a plan opens the files it names.
            for setting in _LOCKED:
                base.execute(f"SET {setting}")
            with _told(dataset, sql):
                _check(base, sql)
                for name in names(dataset):
                    base.register(name, schema.empty_table())
                wanted = _looked_at(base, sql, schema)
            for name in names(dataset):
                base.unregister(name)
            table.put_in(base, names(dataset), wanted)
            with _told(dataset, sql):
                return _answer(base, sql, limit, table.notes())


def names(dataset: Dataset) -> list[str]:
    """What the table is called in SQL: also without characters that need quotes."""
    bare = "".join(c if c.isalnum() or c == "_" else "_" for c in dataset.table)
    return list(dict.fromkeys((dataset.table, bare)))


def _check(base: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Raises: InvalidFieldError unless it is one SELECT."""
    import duckdb

    found = base.extract_statements(sql)
    if not found:
        raise InvalidFieldError("sql", sql, "is empty", "give one SELECT")
    if len(found) > 1:
        raise InvalidFieldError("sql", sql, f"{len(found)} statements", "give one SELECT")
    if found[0].type != duckdb.StatementType.SELECT:
        kind = found[0].type.name
        raise InvalidFieldError(
            "sql", sql, f"a {kind} statement", "tables are read here and never changed: a SELECT"
        )


def _looked_at(base: duckdb.DuckDBPyConnection, sql: str, schema: pa.Schema) -> list[str]:
    """The columns that an answer needs, as DuckDB's plan says; all where it says nothing."""
    told = base.execute(f"EXPLAIN (FORMAT JSON) {sql}").fetchall()
    try:
        plan = json.loads(told[0][1])
        scans = [n["extra_info"] for n in _nodes(plan) if any(s in n["name"] for s in _SCANS)]
        found = {name for scan in scans for name in _projected(scan)}
        filters = " ".join(str(scan.get("Filters", "")) for scan in scans)
    except (ValueError, KeyError, IndexError, TypeError):
        return list(schema.names)
    unknown = found - set(schema.names)
    wanted = [n for n in schema.names if n in found or n in filters]
    # Rows are counted by one column, whichever.
    return list(schema.names) if unknown else wanted or list(schema.names)[:1]


def _nodes(plan: Any) -> Iterator[Any]:
    for node in plan:
        yield node
        yield from _nodes(node.get("children") or ())


def _projected(scan: Mapping[str, Any]) -> Sequence[str]:
    held = scan.get("Projections", ())
    return [held] if isinstance(held, str) else list(held)


def _answer(base: duckdb.DuckDBPyConnection, sql: str, limit: int, notes: Sequence[str]) -> Answer:
    reader = base.sql(sql).to_arrow_reader(_BATCH_ROWS)
    rows: list[tuple[Any, ...]] = []
    for batch in reader:
        rows += zip(*(plain(column) for column in batch.columns), strict=True)
        if limit and len(rows) > limit:
            break
    schema = reader.schema
    return Answer(
        tuple(schema.names),
        tuple(str(t) for t in schema.types),
        tuple(rows[:limit] if limit else rows),
        bool(limit) and len(rows) > limit,
        tuple(notes),
    )


@contextmanager
def _told(dataset: Dataset, sql: str) -> Iterator[None]:
    """What DuckDB says of the SQL, as an error of the SQL."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        why = " ".join(str(error).split("\n\nLINE")[0].split())
        if _STREAM in why:  # the files, not the SQL
            raise TableUnreadableError(
                dataset.table, "Arrow",
                f"{why.partition(' failed: ')[2][:300]} (where a load changed the table meanwhile, "
                f"ask again)",
            ) from None  # fmt: skip
        raise InvalidFieldError("sql", sql, why[:500], _remedy(dataset, error)) from None


def _remedy(dataset: Dataset, error: Exception) -> str:
    import duckdb

    table = dataset.table
    called = " or ".join(f'"{n}"' if not n.isidentifier() else n for n in names(dataset))
    if isinstance(error, duckdb.PermissionException):
        return f"only the table {called} can be read here, no file and no setting"
    if isinstance(error, duckdb.OutOfMemoryException):
        return f"it takes more than {MEMORY}: ask for fewer columns or rows, or aggregate"
    if isinstance(error, duckdb.CatalogException | duckdb.BinderException):
        return f"the table is called {called}; its columns: lake schema show {table}"
    quoted = "" if table.isidentifier() else f"; the table is called {called}"
    return f"mend the SELECT (DuckDB's SQL){quoted}"
