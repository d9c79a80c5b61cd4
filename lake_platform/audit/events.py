"""An upsert's records as events of a key: a row, a delete, or one that belongs in quarantine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lake_platform.audit.ledger import Ledger
from lake_platform.audit.made import Document
from lake_platform.audit.raw import RawLine
from lake_platform.audit.scalars import UnfitError
from lake_platform.audit.sources import TableReader
from lake_platform.audit.subject import Subject
from lake_platform.audit.unloaded import Unloaded
from lake_platform.audit.values import Projector
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.own_columns import PLACE
from lake_platform.domain.ports import KafkaMessage
from lake_platform.errors import UnsupportedError

_BUFFER = 5_000
_UNFIT = "unfit"  # a hash no row has: the record fits no row, and must be in quarantine


@dataclass(frozen=True, slots=True)
class _Row:
    place: tuple[int, int]
    values: dict[str, Any]
    key: str
    rank: str
    hash: str
    from_kafka: bool


class EventSink:
    """Puts one event a record into the ledger."""

    def __init__(
        self, ledger: Ledger, projector: Projector, dataset: Dataset, unloaded: Unloaded
    ) -> None:
        self._ledger, self._projector, self._unloaded = ledger, projector, unloaded
        self._predicate = _predicate(dataset) if dataset.delete_when else None
        self._named = _named(dataset.delete_when) if dataset.delete_when else frozenset()
        self._rows: list[_Row] = []

    def message(self, message: KafkaMessage) -> None:
        key = message.key()
        try:
            text = None if key is None else key.decode()
        except UnicodeDecodeError:
            text = None
        self._note((message.partition(), message.offset()), text, message.value(), True)

    def raw_line(self, line: RawLine) -> None:
        self._note((line.partition, line.offset), line.key, line.sent, False)

    def close(self) -> None:
        """Decides what is still buffered for `delete_when`."""
        deleted = self._deleted() if self._predicate and self._rows else [False] * len(self._rows)
        for row, gone in zip(self._rows, deleted, strict=True):
            kind = "delete" if gone else "row"
            self._add(row.place, kind, row.key, row.rank, row.hash, row.from_kafka)
        self._rows = []

    def _note(
        self, place: tuple[int, int], key: str | None, value: bytes | None, kafka: bool
    ) -> None:
        if value is None:
            found = self._projector.key_of_tombstone(key)
            self._add(place, "bad" if found is None else "delete", found, "", "", kafka)
            return
        try:
            document, gone = self._projector.read(value, key)
        except (UnfitError, RecursionError):
            self._add(place, "bad", None, None, _UNFIT, kafka)
            return
        if document is not None:
            self._document(place, document, gone, kafka)
        elif not gone:
            self._add(place, "nothing", None, "", "", kafka)
        else:
            found = self._projector.key_of_gone(gone)
            self._add(place, "bad" if found is None else "delete", found, "", "", kafka)

    def _document(
        self, place: tuple[int, int], document: Document, gone: tuple[Any, ...], kafka: bool
    ) -> None:
        """`gone`: the row as it was."""
        projector = self._projector
        try:
            values = projector.project(document)
        except UnfitError:
            self._add(place, "bad", None, None, _UNFIT, kafka)
            return
        values |= dict.fromkeys(values.keys() & self._unloaded.at(place))
        key, rank = projector.key_of(values), projector.rank_of(values)
        if key is None or rank is None:
            self._add(place, "bad", key, rank, _UNFIT, kafka)
            return
        before = projector.key_of_gone(gone)
        if before not in (None, key):
            self._ledger.add("moved", *place, before)
        digest = projector.hash_of(values, document)
        if self._predicate is None:
            self._add(place, "row", key, rank, digest, kafka)
            return
        self._rows.append(_Row(place, values, key, rank, digest, kafka))
        if len(self._rows) >= _BUFFER:
            self.close()

    def _add(
        self, place: tuple[int, int], kind: str, key: str | None, rank: str | None, digest: str,
        kafka: bool,
    ) -> None:  # fmt: skip
        self._ledger.add("events", *place, kind, key, rank, digest, kafka)

    def _deleted(self) -> list[bool]:
        import duckdb

        data = pa.Table.from_pylist([r.values for r in self._rows], self._projector.schema)
        for name in sorted(self._named - set(data.column_names)):  # only null so far
            data = data.append_column(name, pa.nulls(len(data)))
        sql = f"SELECT coalesce(CAST(({self._predicate}) AS BOOLEAN), false) FROM incoming"  # noqa: S608
        with duckdb.connect() as database:
            database.register("incoming", data)
            try:
                return [bool(row[0]) for row in database.execute(sql).fetchall()]
            except duckdb.Error as error:
                raise UnsupportedError(
                    f"delete_when={self._predicate!r}: the audit's engine (DuckDB) cannot evaluate "
                    f"it: {str(error).splitlines()[0]}; audit without --deep"
                ) from None


class RowlessSink:
    """Puts the records of an append table that are about no row into the ledger."""

    def __init__(self, ledger: Ledger, projector: Projector) -> None:
        self._ledger, self._projector = ledger, projector

    def message(self, message: KafkaMessage) -> None:
        self._note((message.partition(), message.offset()), message.value())

    def raw_line(self, line: RawLine) -> None:
        self._note((line.partition, line.offset), line.sent)

    def _note(self, place: tuple[int, int], value: bytes | None) -> None:
        if value is None:
            return
        try:
            row, gone = self._projector.read(value, None)
        except (UnfitError, RecursionError):
            return
        if row is None and not gone:
            self._ledger.add("rowless", *place)

    def close(self) -> None:
        """Nothing is held back."""


def _predicate(dataset: Dataset) -> str:
    import sqlglot

    return sqlglot.transpile(dataset.delete_when, read="spark", write="duckdb")[0]


def _named(predicate: str) -> frozenset[str]:
    """The columns it names."""
    import sqlglot
    from sqlglot import exp

    parsed = sqlglot.parse_one(predicate, dialect="spark")
    return frozenset(column.parts[0].name for column in parsed.find_all(exp.Column))


def put_keys_of(ledger: Ledger, subject: Subject, *, deep: bool) -> None:
    """Of an upsert table; with its values where a deep audit can compare them."""
    dataset = subject.dataset
    if dataset.mode == "upsert":
        hashes = deep and not dataset.transformed
        put_keys(ledger, subject.reader, dataset, subject.projector(), hashes=hashes)


def put_keys(
    ledger: Ledger, reader: TableReader, dataset: Dataset, projector: Projector, *, hashes: bool
) -> None:
    """Key of every row of the table, and the hash of its values where it can be compared."""
    names = projector.schema.names if hashes else list(dataset.primary_key)
    for batch in reader.batches(dataset, [*names, *PLACE]):
        for row in batch.to_pylist():
            place = _number(row.pop("_kafka_partition")), _number(row.pop("_kafka_offset"))
            values = projector.project_row(row)
            digest = projector.hash_of(values) if hashes else ""
            ledger.add("lake_keys", *place, projector.key_of(values) or "", digest)


def _number(number: int | None) -> int:
    return -1 if number is None else number
