"""The definition of a dataset: one Kafka topic, one lake table. The API and code use this class."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, Literal, cast

from lake_platform.domain.absent import AbsentFor
from lake_platform.domain.change import Envelope, usual_mode
from lake_platform.domain.first_sight import OPTIONS, check_options
from lake_platform.domain.hint_options import compiled, plain
from lake_platform.domain.hints import Node
from lake_platform.domain.layout import check_name
from lake_platform.domain.raw_span import RawSpan
from lake_platform.domain.reserved import RESERVED
from lake_platform.domain.rules import Condition, conditions
from lake_platform.domain.rules import Rule as Rule  # noqa: PLC0414 - definitions of users have it from here
from lake_platform.domain.transform import Transform
from lake_platform.errors import InvalidFieldError

Mode = Literal["append", "upsert"]
Format = Literal["hudi", "parquet"]
ValueFormat = Literal["json", "avro", "json_schema", "protobuf", "auto"]
OnConflict = Literal["block", "rescue", "quarantine"]
_CRON_FIELDS = 5
# A file system takes names of 255 bytes, and those of raw objects hold the table's and more.
_TABLE_CHARS = 160
_PLAIN_COLUMN = re.compile(r"[^\x00-\x1f]{1,249}\Z")


class Status(StrEnum):
    REGISTERED = "REGISTERED"
    BOOTSTRAPPING = "BOOTSTRAPPING"
    LIVE = "LIVE"
    BLOCKED = "BLOCKED"
    PAUSED = "PAUSED"
    RETIRED = "RETIRED"


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A registered topic. `table` is the identity of the dataset.

    Attributes:
        topic: Kafka topic, read from earliest.
        table: name of the lake table; also of its assets and paths.
        mode: `append` keeps every record, `upsert` (usual with an `envelope`) the last of each key.
        format: `hudi`, or `parquet` (append only).
        primary_key: columns that identify a row, for upsert. With an `envelope` usually the keys'.
        ordering_field: column whose greatest value wins in upsert; None: Kafka order.
        partition_by: columns the table is partitioned by, Hive style.
        transforms: ordered steps between raw and table.
        schedule: cron (UTC) of phase 1; phase 2 follows new raw windows by itself.
        max_lag_seconds: freshness limit; beyond it the freshness check fails.
        raw_from: dataset of the same topic whose raw the table is made of, without a dump of its
            own.
        delete_when: SQL predicate over the transformed row that deletes by key (upsert only).
        tombstones: what an append table does with null values.
        table_type: Hudi table type; None chooses by mode (see docs/architecture.md).
        buckets: files per partition of an upsert table with the bucket index.
        evolution: `same_batch` loads a batch under the new schema at once; `next_batch` applies it
            with the old projection first and again under the new schema with the next batch.
        max_quarantine_ratio: a batch with a larger share of bad records stops the table.
        rules: what must be true of the rows of a batch before it is written (domain/rules).
        filtered: what becomes of the row of a record that a WHERE of the steps left out (upsert):
            `keep` leaves it as it is, `delete` deletes it by key.
        envelope: of change events of a database (domain/change); the table has its rows. With
            `append` each event is a row, deletes too.
        explode: path of an array; each element becomes a row of its own, in which the column is the
            element. Empty and null arrays give no row.
        keep_raw: a column `_raw` with the JSON of the whole record, as it came.

    How the first schema is made from records:
        names: of columns: `keep` the case of the keys, or `lower`.
        case_twins: keys that differ in case only: `merge` makes one column of them unless records
            have both or their types do not meet, `split` never does; `rescue` makes one of the
            first and keeps what comes under another in `_rescued`, in later records too.
        maps: `auto` makes a map of an object whose keys are data, `off` always a struct.
        mixed_scalars: texts beside numbers or booleans become `string`, or `json`.
        single_or_array: single values beside arrays of such become elements (`wrap`), or `json`.
        max_columns: leaf columns; beyond them the deepest and rarest objects become `json`. In a
            table that is there, further keys go to `_rescued`.
        max_depth: objects and arrays in each other, with the record; deeper ones become `json`.
        columns: hints, by the path of what records have; they beat all of the above, and hold for
            columns that come later too (domain/hints).

    What becomes of new keys in a table that is there (records/newcomers):
        max_new_keys: an object that brings more of them in a batch is closed: the most frequent
            become columns, the rest and all that come later go to `_rescued`.
        max_object_keys: so is an object that would pass so many keys; of the record itself
            `max_columns` counts instead.

    What becomes of values that do not fit the columns of a table that is there:
        on_conflict: `block` stops the table, `rescue` keeps the value in `_rescued` and NULL in its
            column, `quarantine` puts the whole record aside; None: as the platform's settings say.
            Values of key, partition and ordering columns always go to quarantine.
        max_rescued_ratio: a batch in which a larger share of a path's values (and over 100 of them)
            would be rescued stops the table.

        catalog: `glue` keeps an entry of the table there, `none` does not; None: as the platform's
            settings say.
        absent_for: drops a column of the record once no record had it for so long; None never does.
            Not what the definition names, nor a field inside of a column.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    topic: str
    table: str
    mode: Mode = field(default_factory=lambda: cast("Mode", ""))
    format: Format = "hudi"
    primary_key: tuple[str, ...] = ()
    ordering_field: str | None = None
    partition_by: tuple[str, ...] = ()
    transforms: tuple[Transform, ...] = ()
    schedule: str = "*/5 * * * *"
    max_lag_seconds: int = 900
    domain: str = "default"
    owner: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    value_format: ValueFormat = "json"
    envelope: Envelope = "none"
    raw_from: str = ""
    delete_when: str = ""
    tombstones: Literal["drop", "quarantine"] = "drop"
    table_type: Literal["cow", "mor"] | None = None
    buckets: int = 4
    evolution: Literal["same_batch", "next_batch"] = "same_batch"
    max_quarantine_ratio: float = 0.1
    rules: tuple[Rule, ...] = ()
    filtered: Literal["keep", "delete"] = "keep"
    explode: str = ""
    names: Literal["keep", "lower"] = "keep"
    case_twins: Literal["merge", "split", "rescue"] = "merge"
    maps: Literal["auto", "off"] = "auto"
    mixed_scalars: Literal["string", "json"] = "string"
    single_or_array: Literal["wrap", "json"] = "wrap"
    max_columns: int = 1000
    max_depth: int = 12
    max_object_keys: int = 200
    max_new_keys: int = 50
    on_conflict: OnConflict | None = None
    max_rescued_ratio: float = 0.05
    absent_for: AbsentFor | None = None
    catalog: Literal["glue", "none"] | None = None
    keep_raw: bool = False
    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.mode:
            object.__setattr__(self, "mode", usual_mode(self.envelope))
        check_name("topic", self.topic)
        check_name("table", self.table)
        if len(self.live_table) > _TABLE_CHARS:
            raise InvalidFieldError(
                "table", self.table, f"longer than {_TABLE_CHARS} characters", "give a shorter name"
            )
        check_name("domain", self.domain)
        if self.raw_from:
            check_name("raw_from", self.raw_from)
        if self.raw_from == self.table:
            raise InvalidFieldError(
                "raw_from", self.raw_from, "is the dataset itself",
                "leave it out: it has raw of its own",
            )  # fmt: skip
        self._check_mode()
        self._check_columns()
        self._check_rows()
        check_options({name: getattr(self, name) for name in OPTIONS})
        object.__setattr__(self, "columns", plain(self.columns))
        if len(self.schedule.split()) != _CRON_FIELDS:
            raise InvalidFieldError(
                "schedule", self.schedule, "not a cron line", "give five fields, as in */5 * * * *"
            )
        if self.max_lag_seconds < 1:
            raise InvalidFieldError(
                "max_lag_seconds", self.max_lag_seconds, "below 1", "give whole seconds from 1 up"
            )
        if not 1 <= self.buckets <= 1024:
            raise InvalidFieldError("buckets", self.buckets, "out of range", "give 1 to 1024")
        if not isinstance(self.keep_raw, bool):
            raise InvalidFieldError("keep_raw", self.keep_raw, "not true or false", "give true")
        for name in ("max_quarantine_ratio", "max_rescued_ratio"):
            if not 0 <= (ratio := getattr(self, name)) <= 1:
                raise InvalidFieldError(name, ratio, "not a ratio", "give 0 to 1")

    def _check_mode(self) -> None:
        if self.mode == "upsert" and self.format == "parquet":
            raise InvalidFieldError(
                "format", "parquet", "Parquet tables are append only", "use format=hudi for upsert"
            )
        if self.mode == "upsert" and not self.primary_key and self.envelope == "none":
            raise InvalidFieldError(
                "primary_key", list(self.primary_key), "upsert needs a key", "name its columns"
            )
        for name in ("ordering_field", "delete_when"):
            if self.mode == "append" and getattr(self, name):
                raise InvalidFieldError(
                    name, getattr(self, name), "means nothing in append mode", "use mode=upsert"
                )
        if self.table_type and self.format != "hudi":
            raise InvalidFieldError(
                "table_type", self.table_type, "only Hudi has table types", "leave it out"
            )

    def _check_columns(self) -> None:
        for name in ("primary_key", "partition_by"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise InvalidFieldError(name, list(values), "a column twice", "name each once")
        for name, column in self.named_columns():
            if not _PLAIN_COLUMN.match(column) or column.startswith(RESERVED):
                raise InvalidFieldError(
                    name, column, "not a usable column name",
                    "give 1 to 249 printable characters; _kafka_* and _hoodie_* are ours",
                )  # fmt: skip

    def _check_rows(self) -> None:
        if self.filtered == "delete" and (self.mode != "upsert" or not self.transforms):
            raise InvalidFieldError(
                "filtered", "delete", "there is no step, or no key, to delete by",
                "use it with mode=upsert and transforms",
            )  # fmt: skip
        if self.explode and not all(map(_PLAIN_COLUMN.match, self.explode.split("."))):
            raise InvalidFieldError(
                "explode", self.explode, "not a column path", "name one array: items, order.items"
            )
        if self.absent_for is not None and self.transformed:
            raise InvalidFieldError(
                "absent_for", str(self.absent_for), "the table's columns are what its steps make",
                "leave it out, and change the steps",
            )  # fmt: skip

    def named_columns(self) -> list[tuple[str, str]]:
        """Field and column of every column that a field names."""
        named = [("primary_key", c) for c in self.primary_key]
        named += [("partition_by", c) for c in self.partition_by]
        return named + ([("ordering_field", self.ordering_field)] if self.ordering_field else [])

    @property
    def has_sql(self) -> bool:
        """Whether there is something for the engine to look at."""
        predicates = any(c.kind == "sql" for c in self.conditions)
        return bool(self.transformed or self.delete_when or predicates)

    @property
    def live_table(self) -> str:
        """The name that readers know the table by: of one that is built anew, the other's."""
        return self.table

    @property
    def raw_table(self) -> str:
        """The dataset whose raw log the table is made of."""
        return self.raw_from or self.live_table

    @property
    def raw_span(self) -> RawSpan:
        """The part of that log which the table is made of."""
        return RawSpan()

    @property
    def first_epoch(self) -> int:
        """Claims and batch records of the table are numbered from behind this."""
        return 0

    @property
    def settles(self) -> bool:
        """Whether all of the first batch has a say in version 1 of the schema."""
        return True

    @property
    def record_columns(self) -> frozenset[str]:
        """Those of `named_columns` that the records have themselves: none behind steps."""
        return frozenset(() if self.transformed else (c for _, c in self.named_columns()))

    def holds_rules_as(self, before: Dataset) -> bool:
        """Whether rules are what they were; those on casts are about the steps, too."""
        on_casts = any(c.kind == "cast" for c in self.conditions)
        same_steps = self.transforms == before.transforms
        return self.rules == before.rules and (same_steps or not on_casts)

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """What the rules say of a row."""
        return conditions(self.rules)

    @cached_property
    def hints(self) -> Node:
        """What `columns` says, as a tree."""
        return compiled(self.columns, keep_raw=self.keep_raw, change=self.envelope != "none")

    @property
    def transformed(self) -> bool:
        """Whether the rows are something else than the records."""
        return bool(self.transforms or self.explode)

    def with_changes(self, changes: Mapping[str, Any]) -> Dataset:
        """A copy with fields replaced, checked as a new one is."""
        return dataclasses.replace(self, **dict(changes))
