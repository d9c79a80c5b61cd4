"""The metastore's tables. Times are milliseconds since 1970 UTC."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite gives a rowid only to a column that is exactly INTEGER.
_Id = BigInteger().with_variant(Integer(), "sqlite")
_TABLE = "datasets.table_name"


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        dict[str, Any]: JSON,
        list[Any]: JSON,
        int: BigInteger,
        str: Text,
    }


class DatasetRow(Base):
    """`table_fold` keeps `Orders` and `orders` apart: catalogs fold case.

    `paused_from` is the status a paused dataset goes back to, `retired_from` the one a retired one
    does. `rebuild_of`: this is no dataset but what a rebuild of that one loads (domain/rebuild),
    with `definition` as the live one gets it.

    `raw_from` is that of the definition; a shadow has none of its own. The table is made of the raw
    commits behind `raw_after`, up to `raw_until` (0: to the end), where `continued_in` goes on.
    """

    __tablename__ = "datasets"
    __table_args__ = (
        Index("one_rebuild_at_a_time", "rebuild_of", unique=True),
        Index("readers_of_raw", "raw_from"),
    )

    table_name: Mapped[str] = mapped_column(String(249), primary_key=True)
    table_fold: Mapped[str] = mapped_column(String(249), unique=True)
    definition: Mapped[dict[str, Any]]
    version: Mapped[int]
    status: Mapped[str] = mapped_column(String(20))
    paused_from: Mapped[str | None] = mapped_column(String(20))
    retired_from: Mapped[str | None] = mapped_column(String(20))
    registered_at: Mapped[int]
    rebuild_of: Mapped[str | None] = mapped_column(String(249))
    rebuild: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    raw_from: Mapped[str | None] = mapped_column(String(249))
    raw_after: Mapped[int] = mapped_column(default=0, server_default="0")
    raw_until: Mapped[int] = mapped_column(default=0, server_default="0")
    continued_in: Mapped[str | None] = mapped_column(String(249))


class SchemaVersionRow(Base):
    """`mapped`: how paths that are new in this version came to columns (domain/mapping). `profile`:
    of version 1, what the registration counted. `actor` is empty in versions of before it was
    kept."""

    __tablename__ = "schema_versions"

    table_name: Mapped[str] = mapped_column(ForeignKey(_TABLE), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    source: Mapped[dict[str, Any]]
    derived: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    status: Mapped[str] = mapped_column(String(20))
    changes: Mapped[list[Any]]
    created_at: Mapped[int]
    actor: Mapped[str] = mapped_column(default="", server_default="")
    # Large, and rarely asked for.
    mapped: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    profile: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), deferred=True)


class IncidentRow(Base):
    __tablename__ = "incidents"
    __table_args__ = (Index("incidents_by_table", "table_name", "status"),)

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    table_name: Mapped[str] = mapped_column(ForeignKey(_TABLE))
    status: Mapped[str] = mapped_column(String(20))
    batch: Mapped[str]
    changes: Mapped[list[Any]]
    samples: Mapped[list[Any]]
    opened_at: Mapped[int]
    resolved_at: Mapped[int | None]
    resolution: Mapped[str] = mapped_column(default="")
    resolved_by: Mapped[str] = mapped_column(default="")
    kind: Mapped[str] = mapped_column(default="schema")
    reason: Mapped[str] = mapped_column(default="")


class DecisionRow(Base):
    """`domain.decisions.Decision`, column for column."""

    __tablename__ = "decisions"
    __table_args__ = (Index("decisions_by_table", "table_name"),)

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    table_name: Mapped[str] = mapped_column(ForeignKey(_TABLE))
    incident: Mapped[int]
    path: Mapped[str]
    action: Mapped[str] = mapped_column(String(20))
    first_seq: Mapped[int]
    last_seq: Mapped[int | None]
    actor: Mapped[str]
    decided_at: Mapped[int]


class GapRow(Base):
    __tablename__ = "gaps"
    __table_args__ = (UniqueConstraint("table_name", "partition", "start_offset", "end_offset"),)

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    table_name: Mapped[str] = mapped_column(ForeignKey(_TABLE))
    partition: Mapped[int]
    start_offset: Mapped[int]
    end_offset: Mapped[int]
    accepted_by: Mapped[str]
    accepted_at: Mapped[int]


class ProgressRow(Base):
    """One row a dataset, column for column `domain.ports.Progress`."""

    __tablename__ = "progress"

    table_name: Mapped[str] = mapped_column(ForeignKey(_TABLE), primary_key=True)
    head_seq: Mapped[int] = mapped_column(default=0)
    applied_seq: Mapped[int] = mapped_column(default=0)
    reported_seq: Mapped[int] = mapped_column(default=0)
    records_ingested: Mapped[int] = mapped_column(default=0)
    bytes_ingested: Mapped[int] = mapped_column(default=0)
    records: Mapped[int] = mapped_column(default=0)
    quarantined: Mapped[int] = mapped_column(default=0)
    deleted: Mapped[int] = mapped_column(default=0)
    deduplicated: Mapped[int] = mapped_column(default=0)
    dropped: Mapped[int] = mapped_column(default=0)
    quarantined_deletes: Mapped[int] = mapped_column(default=0)
    rescued: Mapped[int] = mapped_column(default=0, server_default="0")
    backlog: Mapped[int] = mapped_column(default=0)
    complete_as_of: Mapped[int] = mapped_column(default=0)
    complete_through: Mapped[int] = mapped_column(default=0)
    dumped_at: Mapped[int] = mapped_column(default=0)
    loaded_at: Mapped[int] = mapped_column(default=0)
    looked_at: Mapped[int] = mapped_column(default=0)
    begins_at: Mapped[int] = mapped_column(default=0, server_default="0")
    loss_at: Mapped[int] = mapped_column(default=0)
    kept_ms: Mapped[int] = mapped_column(default=0)
    dump_error: Mapped[str] = mapped_column(default="")
    dump_error_kind: Mapped[str] = mapped_column(default="")
    load_error: Mapped[str] = mapped_column(default="")
    load_error_kind: Mapped[str] = mapped_column(default="")
    load_failures: Mapped[int] = mapped_column(default=0)
    failed_dumps: Mapped[int] = mapped_column(default=0, server_default="0")
    failed_loads: Mapped[int] = mapped_column(default=0, server_default="0")
    dump_failing_since: Mapped[int] = mapped_column(default=0, server_default="0")
    load_failing_since: Mapped[int] = mapped_column(default=0, server_default="0")
    replaying: Mapped[str] = mapped_column(default="")


class BatchRow(Base):
    """Statistics of one applied batch. `counted`: it is part of the totals in `progress`.
    `rescued`: values by path, `lost_by_cast`: rows by column, `absent`: columns without a value,
    `seconds` by what they went to; NULL where nobody counted them."""

    __tablename__ = "batches"
    __table_args__ = (Index("batches_by_seq", "table_name", "last_seq"),)

    table_name: Mapped[str] = mapped_column(ForeignKey(_TABLE), primary_key=True)
    batch: Mapped[str] = mapped_column(String(40), primary_key=True)
    first_seq: Mapped[int]
    last_seq: Mapped[int]
    applied: Mapped[int]
    epoch: Mapped[int]
    instant: Mapped[str]
    schema_version: Mapped[int]
    replay: Mapped[bool]
    counted: Mapped[bool]
    balance: Mapped[dict[str, Any]]
    windows: Mapped[dict[str, Any]]
    quarantine_keys: Mapped[list[Any]]
    rescued: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    lost_by_cast: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    absent: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    seconds: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    files: Mapped[int]
    bytes: Mapped[int]
    recorded_at: Mapped[int]


class AlertRow(Base):
    """`domain.telling.HeldAlert`; the name of a table that is none is empty."""

    __tablename__ = "alerts"

    key: Mapped[str] = mapped_column(String(600), primary_key=True)
    name: Mapped[str] = mapped_column(String(60))
    table_name: Mapped[str] = mapped_column(String(249))
    subject: Mapped[str]
    text: Mapped[str]
    remedy: Mapped[str]
    opened_at: Mapped[int]
    quiet_since: Mapped[int]
    closed_at: Mapped[int]
    told: Mapped[dict[str, Any]]


class ReceiverRow(Base):
    """`domain.telling.ReceiverState`, column for column."""

    __tablename__ = "alert_receivers"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    succeeded_at: Mapped[int]
    failing_since: Mapped[int]
    tries: Mapped[int]
    next_at: Mapped[int]
    error: Mapped[str]


class BeatRow(Base):
    """When something that works in the background was last at work."""

    __tablename__ = "beats"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    at: Mapped[int]


class SampleRow(Base):
    """`metastore.samples.Sample`; `slot` counts ten minutes since 1970."""

    __tablename__ = "samples"

    table_name: Mapped[str] = mapped_column(ForeignKey(_TABLE), primary_key=True)
    slot: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[int]
    records_ingested: Mapped[int]
    records: Mapped[int]
    lag_ms: Mapped[int]


class AuditRow(Base):
    """Append-only: triggers refuse UPDATE and DELETE."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("audit_by_table", "table_name", "id"),)

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    at: Mapped[int]
    actor: Mapped[str]
    action: Mapped[str]
    table_name: Mapped[str]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
