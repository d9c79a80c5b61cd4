"""Whether a run left exactly what was produced. A run whose audit fails has no number."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgspec
from isal import igzip

from bench.records import Expected
from lake_platform.domain.layout import quarantine_prefix, raw_prefix
from lake_platform.domain.storage import ObjectStore
from lake_platform.raw import log as raw_log

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class AuditFailedError(Exception):
    """Names the first thing that is not as it must be."""


class _Line(msgspec.Struct, gc=False):
    partition: int
    offset: int
    value: msgspec.Raw


def check(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise AuditFailedError(f"{what}: found {found}, must be {wanted}")


def audit_raw(store: ObjectStore, table: str, topic: str, expected: Expected) -> None:
    """Every record once, its value byte for byte; the log names what a blind listing finds."""
    objects = [o for c in raw_log.commits_after(store, table, 0) for o in c.objects]
    listed = {i.key for i in store.list(raw_prefix(topic)) if f"/{table}-p" in i.key}
    check("raw objects", listed, {o.key for o in objects})
    decode = msgspec.json.Decoder(_Line).decode
    places: set[tuple[int, int]] = set()
    records = crc = 0
    for raw in objects:
        text: bytes = igzip.decompress(store.get(raw.key))  # type: ignore[no-untyped-call]
        for line in text.splitlines():
            decoded = decode(line)
            places.add((decoded.partition, decoded.offset))
            crc += zlib.crc32(bytes(decoded.value))
            records += 1
    check("raw records", records, expected.records)
    check("distinct coordinates in raw", len(places), expected.records)
    check("sum of the values' CRC-32", crc, expected.value_crc)


def audit_quarantine(store: ObjectStore, table: str) -> None:
    check("quarantine objects", len(list(store.list(quarantine_prefix(table)))), 0)


def audit_table(frame: DataFrame, kind: str, expected: Expected) -> None:
    """Append: each record once, by coordinates. Upsert: each id once, with its last record."""
    from pyspark.sql import functions as F

    key = ["id"] if kind == "upsert" else ["_kafka_partition", "_kafka_offset"]
    row = frame.agg(
        F.count(F.lit(1)), F.countDistinct(*[F.col(c) for c in key]), F.sum("seq")
    ).first()
    rows, distinct, total = row if row else (0, 0, 0)
    wanted = expected.keys if kind == "upsert" else expected.records
    all_seqs = expected.records * (expected.records - 1) // 2
    check("rows in the table", rows, wanted)
    check("distinct keys in the table", distinct, wanted)
    check("sum of seq", total, expected.latest_seq_sum if kind == "upsert" else all_seqs)
