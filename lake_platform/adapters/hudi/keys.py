"""The record key of upsert tables: one text for each key, whatever is in its columns.

Hudi joins the columns of a composite key as `name:value,name:value` without escaping, so that two
keys can be one text, and its bucket index takes record keys apart again at colons and commas, for
ever on some of them. So a table's record key is a column of ours, `_lake_key`: the parts of the
key, percent-encoded and joined by `/`. A key of one integer is its own record key. Tables of older
releases name other columns in their hoodie.properties and keep these.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

from lake_platform.adapters.hudi import timeline
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.schema import Struct
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import OldTableError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType

KEY = "_lake_key"
IDENTITY = "#key"
"""A column of frames, named as none of a table can be: the row's key as `identity` makes it."""
_TIME = "timestamp"
_INTEGERS = frozenset(["int", "long"])
# What Hudi makes of an empty and of a null part of a composite key.
_STAND_INS = ("__empty__", "__null__")


def record_key(store: ObjectStore, dataset: Dataset, columns: Struct) -> tuple[str, ...]:
    """The columns of Hudi's record key: as the table has them, else as a new one gets them."""
    known = timeline.properties(store, dataset.table).get("hoodie.table.recordkey.fields")
    if known:
        return tuple(known.split(","))
    types = [str(getattr(columns.get(c), "type", "")) for c in dataset.primary_key]
    plain = len(types) == 1 and types[0] in _INTEGERS
    return dataset.primary_key if plain else (KEY,)


def identity(frame: DataFrame, key: Sequence[str]) -> Column:
    """The key's text: equal for equal keys only, and the same after a column was widened."""
    from pyspark.sql import functions as F

    types = {f.name: f.dataType for f in frame.schema.fields}
    first, *others = (_encoded(F.col(f"`{c}`"), types[c]) for c in key)
    return reduce(lambda left, right: F.concat(left, F.lit("/"), right), others, first)


def check_old_keys(frame: DataFrame, dataset: Dataset) -> None:
    """For a table whose record key is Hudi's own.

    Raises: OldTableError for a key that Hudi would take for another one, or hang on.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.types import StringType

    texts = [
        F.col(f"`{f.name}`")
        for f in frame.schema.fields
        if f.name in dataset.primary_key and isinstance(f.dataType, StringType)
    ]
    if not texts:
        return
    if len(dataset.primary_key) == 1:
        unsafe = texts[0].contains(",") & texts[0].rlike(":.*:")
    else:
        unsafe = reduce(
            lambda left, right: left | right,
            [c.isin(*_STAND_INS) | (c.contains(",") & c.contains(":")) for c in texts],
        )
    found = frame.where(unsafe).select(*dataset.primary_key).limit(1).collect()
    if found:
        shown = ", ".join(f"{name}={value!r:.80}" for name, value in found[0].asDict().items())
        why = f"its record keys are not escaped, so key {shown} cannot be told from others"
        raise OldTableError(dataset.table, why)


def check_old_folders(store: ObjectStore, dataset: Dataset, columns: Struct) -> None:
    """Older releases named the folders of timestamps by microseconds, which Spark reads as NULL.

    Raises: OldTableError.
    """
    times = {c for c in dataset.partition_by if str(getattr(columns.get(c), "type", "")) == _TIME}
    for folder in timeline.newest_partitions(store, dataset.table) if times else ():
        for part in folder.split("/"):
            name, _, value = part.partition("=")
            if name in times and value.lstrip("-").isdigit():
                raise OldTableError(dataset.table, f"no reader but hudi-rs understands {part}")


def _encoded(column: Column, kind: DataType) -> Column:
    from pyspark.sql import functions as F
    from pyspark.sql import types as T

    if isinstance(kind, T.StringType):
        return F.url_encode(column)
    if isinstance(kind, T.BinaryType):
        return F.hex(column)
    if isinstance(kind, T.DecimalType) and kind.scale:
        # Without the zeros that a greater scale adds, and never in the form 1E-7.
        digits = F.translate(F.format_number(column, kind.scale), ",", "")
        return F.regexp_replace(digits, r"\.?0+$", "")
    if isinstance(kind, T.FloatType | T.DoubleType):
        column = column + F.lit(0).cast(kind)  # -0.0 is 0.0
    return F.url_encode(column.cast("string"))
