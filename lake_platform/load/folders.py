"""Partition folders of Parquet tables that no engine lays out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import reduce
from typing import TYPE_CHECKING
from urllib.parse import quote

from lake_platform.domain.batches import Layout
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.own_columns import COORDINATES
from lake_platform.domain.schema import Struct

if TYPE_CHECKING:
    import pyarrow as pa

NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"


def laid_out(
    table: pa.Table, dataset: Dataset, columns: Struct, layout: Layout | None
) -> Iterator[tuple[str, pa.Table]]:
    """What goes into which folder: `""`, or `<column>=<value>/...`."""
    if layout is None:
        yield "", table
        return
    whole = _projected(table, columns)
    if not dataset.partition_by:
        yield "", whole
        return
    named = list(dataset.partition_by)
    values = _told_apart(whole.select(named))
    kept = whole if layout.columns_in_files else whole.drop_columns(named)
    # Several values may share a folder: none, the empty text, and the text that is its name.
    folders: defaultdict[str, list[dict[str, object]]] = defaultdict(list)
    for value in values.group_by(named, use_threads=False).aggregate([]).to_pylist():
        folders[_path(value, layout)].append(value)
    for path, held in folders.items():
        yield path, kept.filter(reduce(_either, (_mask(values, value) for value in held)))


def _projected(table: pa.Table, columns: Struct) -> pa.Table:
    import pyarrow as pa

    from lake_platform.records.columns import arrow_fields

    schema = pa.schema([*arrow_fields(columns), *(table.schema.field(n) for n in COORDINATES)])
    held = set(table.column_names)
    parts = [
        table.column(f.name).cast(f.type) if f.name in held
        else pa.nulls(table.num_rows, f.type)
        for f in schema
    ]  # fmt: skip
    return pa.Table.from_arrays(parts, schema=schema)


def _told_apart(values: pa.Table) -> pa.Table:
    """Floats as texts: 0.0 and -0.0 are equal, and have two folders."""
    import pyarrow as pa

    texts = [
        column.cast(pa.string()) if pa.types.is_floating(column.type) else column
        for column in values.columns
    ]
    return pa.table(dict(zip(values.column_names, texts, strict=True)))


def _mask(values: pa.Table, folder: dict[str, object]) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = None
    for name, value in folder.items():
        column = values.column(name)
        same = (
            column.is_null() if value is None else pc.equal(column, pa.scalar(value, column.type))
        )
        whole = same if whole is None else pc.and_kleene(whole, same)
    return whole


def _either(first: pa.ChunkedArray, second: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return pc.or_kleene(first, second)


def _path(folder: dict[str, object], layout: Layout) -> str:
    parts = (f"{quote(layout.folder(n), safe='')}={_value(v)}/" for n, v in folder.items())
    return "".join(parts)


def _value(value: object) -> str:
    if value is None or value == "":
        return NULL_FOLDER
    return quote(str(value), safe=" ")
