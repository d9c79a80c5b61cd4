"""The rows of a table, read by an engine that did not write it: Arrow's for Parquet, hudi-rs for
Hudi. Where that one cannot read, Spark's view is shown, and that it had to be is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import table_prefix
from lake_platform.domain.own_columns import PLACE
from lake_platform.domain.schema import Decimal, Struct, Type
from lake_platform.errors import LakeError, TableUnreadableError

if TYPE_CHECKING:
    import pyarrow as pa

    from lake_platform.audit.files import ArrowFiles

_OWN = ("_kafka_", "_hoodie_", "_lake_key", "_lake_order")
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
SparkRows = Callable[[Dataset], Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Rows:
    """`rows` in Kafka's order, with their coordinates, as many as were asked for of `total`.
    `error`: why `read_by` is Spark where another engine should have read."""

    rows: Sequence[Mapping[str, Any]] = ()
    total: int = 0
    read_by: str = ""
    error: LakeError | None = None


def read_rows(
    dataset: Dataset,
    columns: Struct,
    files: ArrowFiles,
    spark_rows: SparkRows,
    limit: int | None = None,
) -> Rows:
    """`columns`: what the table should have. A table nobody wrote yet is empty."""
    read_by = "hudi-rs" if dataset.format == "hudi" else "arrow"
    try:
        table = (
            _hudi(dataset, files) if dataset.format == "hudi" else _parquet(columns, dataset, files)
        )
    except TableUnreadableError as error:
        seen = [dict(row) for row in spark_rows(dataset)]
        return Rows(_own_left_out(seen)[:limit], len(seen), "spark", error)
    shown = table if limit is None else table.slice(0, limit)
    return Rows(_as_rows(shown), table.num_rows, read_by)


def _as_rows(table: pa.Table) -> list[dict[str, Any]]:
    from lake_platform.trial.values import plain

    held = [plain(column) for column in table.columns]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*held, strict=True)]


def _own_left_out(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = [{n: v for n, v in row.items() if n in PLACE or not n.startswith(_OWN)} for row in rows]
    return sorted(kept, key=lambda row: tuple(row[name] for name in PLACE))


def _hudi(dataset: Dataset, files: ArrowFiles) -> pa.Table:
    import pyarrow as pa

    from lake_platform.audit.tables import HudiReader

    reader = HudiReader(files)
    names = _shown(reader.schema(dataset).names)
    if not names:
        return pa.table({})
    found = list(reader.batches(dataset, names))
    if not found:
        return pa.table({})
    return _in_order(pa.concat_tables([pa.Table.from_batches([b]) for b in found]), names)


def _parquet(columns: Struct, dataset: Dataset, files: ArrowFiles) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    prefix = table_prefix(dataset.table)
    parts: list[pa.Table] = []
    for file in files.list(prefix):
        folders = file.key[len(prefix) :].split("/")
        if not file.key.endswith(".parquet") or any(f.startswith(("_", ".")) for f in folders):
            continue
        try:
            with files.open(file.key) as data:
                found = pq.read_table(data)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(dataset, f"{file.key}: {error}") from None
        parts.append(_with_folders(found, columns, folders[:-1]))
    if not parts:
        return pa.table({})
    try:
        table = pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException as error:
        raise _unreadable(dataset, f"its files do not fit together: {error}") from None
    return _in_order(table, _shown(table.column_names))


def _unreadable(dataset: Dataset, why: str) -> TableUnreadableError:
    return TableUnreadableError(dataset.table, "Arrow", why.splitlines()[0])


def _with_folders(table: pa.Table, columns: Struct, folders: Sequence[str]) -> pa.Table:
    """Adds the columns that are in the path only (`branch=007/`)."""
    import pyarrow as pa

    for folder in folders:
        name, _, text = (unquote(part) for part in folder.partition("="))
        if name in table.column_names:
            continue
        value = None if text == _NO_VALUE else text
        column = pa.array([value] * table.num_rows, pa.string())
        held = columns.get(name)
        kind = _arrow_type(held.type) if held else None
        table = table.append_column(name, column if kind is None else column.cast(kind))
    return table


def _arrow_type(kind: Type) -> Any:
    import pyarrow as pa

    if isinstance(kind, Decimal):
        return pa.decimal128(kind.precision, kind.scale)
    known = {
        "boolean": pa.bool_(), "int": pa.int32(), "long": pa.int64(), "float": pa.float32(),
        "double": pa.float64(), "date": pa.date32(), "timestamp": pa.timestamp("us", "UTC"),
    }  # fmt: skip
    return known.get(str(kind))


def _shown(names: Sequence[str]) -> list[str]:
    return [n for n in names if n in PLACE or not n.startswith(_OWN)]


def _in_order(table: pa.Table, names: Sequence[str]) -> pa.Table:
    own = [n for n in PLACE if n in names]
    if own:
        table = table.sort_by([(name, "ascending") for name in own])
    return table.select([*(n for n in names if n not in own), *own])
