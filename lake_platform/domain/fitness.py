"""What of a definition fits a topic's columns, and what may change under a table that is there."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence

from lake_platform.domain.dataset import Dataset, Format
from lake_platform.domain.reserved import RESERVED
from lake_platform.domain.schema import Struct, Type, fields
from lake_platform.errors import InvalidFieldError

_HUDI_COLUMNS = ("_lake_key", "_lake_order")  # of upsert tables (adapters/hudi)
_NOT_PLAIN = ("json", "rescued")
_AVRO_NAME = re.compile(r"[^\W\d]\w*\Z")


FIXED_FIELDS = (
    "topic",
    "table",
    "raw_from",
    "value_format",
    "envelope",
    "mode",
    "format",
    "primary_key",
    "ordering_field",
    "partition_by",
    "table_type",
    "buckets",
    "explode",
    "keep_raw",
)
_IDENTITY = ("topic", "table", "raw_from", "value_format", "envelope")
_ANOTHER = (
    "register a second table on the same topic and retire this one; what Kafka no longer has stays "
    "in this one's raw, and the registration says which offsets"
)


def check_change(before: Dataset, after: Dataset) -> None:
    """Fields the files of an existing table were written by cannot change under it.

    Raises:
        InvalidFieldError: names the first such field.
    """
    for name in FIXED_FIELDS:
        value = getattr(after, name)
        if getattr(before, name) != value:
            raise InvalidFieldError(
                name, value,
                f"cannot change on an existing table (it is {getattr(before, name)!r})",
                _ANOTHER if name in _IDENTITY else
                f"have the table built anew with it: lake rebuild {before.table} --change "
                + shlex.quote(f"{name}={json.dumps(value)}"),
            )  # fmt: skip


def unstorable(format_: Format, struct: Struct) -> list[tuple[str, Type]]:
    """Path and type of each column the table cannot have.

    `_kafka_*`, `_hoodie_*` and, in Hudi, `_lake_key` and `_lake_order` are ours; Hudi's schema is
    Avro's, with names of letters, digits and `_` at any depth, no digit first.
    """
    found = [(f.name, f.type) for f in struct.fields if f.name.lower().startswith(RESERVED)]
    if format_ == "hudi":
        found += [(f.name, f.type) for f in struct.fields if f.name.lower() in _HUDI_COLUMNS]
        found += [(path, f.type) for path, f in fields(struct) if not _AVRO_NAME.match(f.name)]
    return found


def check_against_schema(dataset: Dataset, source: Struct) -> None:
    """Named columns must exist. With transforms the output is known only to the engine.

    Raises:
        InvalidFieldError: names field and column and lists the columns there are.
    """
    if dataset.transformed:
        return
    bad = [path for path, _ in unstorable(dataset.format, source)]
    if bad:
        raise InvalidFieldError(
            "topic", dataset.topic, f"its records have columns {bad}, which a {dataset.format} "
            f"table cannot store", "rename them in a sql transform: SELECT `x.y` AS xy (names with "
            "_kafka_ and _hoodie_ are ours: rename those where they are produced)",
        )  # fmt: skip
    check_columns(dataset, [f.name for f in source.fields])
    for name, column in dataset.named_columns():
        kind = str(getattr(source.get(column), "type", ""))
        if kind in _NOT_PLAIN or not (kind.isalpha() or kind.startswith("decimal")):
            raise InvalidFieldError(
                name, column, f"is a {kind}", "name a column with a plain value"
            )
    check_places(dataset, source)


def check_places(dataset: Dataset, columns: Struct) -> None:
    """`columns` are the table's, after the steps.

    Raises: InvalidFieldError for a partition that the rows of a table cannot be found in again.
    """
    if dataset.mode != "upsert":
        return
    for name in set(dataset.partition_by) - set(dataset.primary_key):
        if str(getattr(columns.get(name), "type", "")) == "timestamp":
            raise InvalidFieldError(
                "partition_by", name, "is a timestamp, and a row that moves to another folder "
                "cannot be found in the old one: Spark reads the folders of timestamps as NULL",
                f"partition by a date or text: a step with to_date({name}) or "
                f"date_format({name}, 'yyyy-MM-dd-HH')",
            )  # fmt: skip


def check_columns(dataset: Dataset, known: Sequence[str]) -> None:
    """Raises: InvalidFieldError for a named column that is not among `known`."""
    for name, column in dataset.named_columns():
        if column not in known:
            listed = ", ".join(known) or "none"
            raise InvalidFieldError(
                name, column, "no such column in the schema", f"columns are: {listed}"
            )
