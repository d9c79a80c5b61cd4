"""The column by which Hudi chooses between two versions of a row.

Hudi 1.2 has no form for a date in a delete block, and mixes up those of timestamps, so in new
tables a date or time is there once more as a number, `_lake_order`. Tables of earlier releases name
another column in their hoodie.properties and keep it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lake_platform.adapters.hudi import timeline
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.own_columns import ORDER
from lake_platform.domain.schema import Struct
from lake_platform.domain.storage import ObjectStore

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PLACE = "_lake_order"
_KNOWN = ("hoodie.table.ordering.fields", "hoodie.table.precombine.field")


def ordering_column(store: ObjectStore, dataset: Dataset, columns: Struct) -> str:
    """As the table has it, else as a new one gets it."""
    held = timeline.properties(store, dataset.table)
    known = next((held[n] for n in _KNOWN if held.get(n)), "")
    if known or not dataset.ordering_field:
        return known or ORDER
    kind = str(getattr(columns.get(dataset.ordering_field), "type", ""))
    return PLACE if kind in {"date", "timestamp"} else dataset.ordering_field


def ordered(rows: DataFrame, dataset: Dataset, column: str) -> DataFrame:
    """`rows` with the column that Hudi orders by."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import DateType

    if column != PLACE:
        return rows
    value = F.col(f"`{dataset.ordering_field}`")
    is_date = isinstance(rows.schema[str(dataset.ordering_field)].dataType, DateType)
    return rows.withColumn(
        PLACE, F.unix_date(value).cast("long") if is_date else F.unix_micros(value)
    )
