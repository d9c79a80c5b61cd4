"""One slice of a dump: records in, raw objects out, compressed as they come to keep memory flat."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from isal import isal_zlib

from lake_platform.domain.layout import raw_key
from lake_platform.domain.offsets import RawObject, Slice
from lake_platform.domain.ports import KafkaMessage
from lake_platform.domain.registry import Unwrap, Unwrapped
from lake_platform.domain.storage import ObjectStore
from lake_platform.domain.windows import EARLIEST_MS, HOUR_MS, in_range, window_key
from lake_platform.records.envelope import Classifier, OrderMarks, encode_key, single_line

_FLUSH_BYTES = 1 << 20
_FLUSH_LINES = 1_000
_UPLOADS = 4
_MAX_BUFFERS = 2_000  # open objects, 30 KB each: a topic may hold records of any number of hours
_DIGEST_MODULUS = 1 << 64
_GZIP = 31  # zlib's window bits for a gzip stream


class _Buffer:
    """The object of one partition and window that is being filled."""

    __slots__ = (
        "_gzip", "_parts", "first", "hour", "last", "lines", "max_ts", "min_ts", "offset_sum",
        "offsets", "partition", "raw_bytes", "records", "rejected", "schemas", "stamps",
        "tombstone_offset_sum", "tombstones",
    )  # fmt: skip

    def __init__(self, partition: int, hour: int) -> None:
        self.partition, self.hour = partition, hour
        self._gzip: Any = isal_zlib.compressobj(level=1, wbits=_GZIP)
        self._parts: list[bytes] = []
        # Filled by RawSlice.add, emptied by flush.
        self.lines: list[bytes] = []
        self.offsets: list[int] = []
        self.stamps: list[int] = []
        self.first = self.last = -1
        self.raw_bytes = self.records = self.offset_sum = self.rejected = self.tombstones = 0
        self.tombstone_offset_sum = 0
        self.schemas: set[int] = set()
        self.min_ts, self.max_ts = 1 << 62, -(1 << 62)

    def flush(self) -> None:
        """Compresses what came since the last flush; the sums are taken over lists, in C."""
        if not self.lines:
            return
        if self.first < 0:
            self.first = self.offsets[0]
        self.last = self.offsets[-1]
        self.records += len(self.lines)
        self.offset_sum += sum(self.offsets)
        self.min_ts = min(self.min_ts, *self.stamps)
        self.max_ts = max(self.max_ts, *self.stamps)
        joined = single_line(self.lines)
        self.raw_bytes += len(joined)
        self._parts.append(self._gzip.compress(joined))
        self.lines, self.offsets, self.stamps = [], [], []

    def close(self) -> bytes:
        self.flush()
        self._parts.append(self._gzip.flush())
        whole = b"".join(self._parts)
        self._parts.clear()  # else a slice's objects are in memory twice while they are put
        return whole


class RawSlice:
    """Collects the records of one raw commit.

    `order_marks` (partition -> highest believed timestamp) goes on from commit to commit. A record
    behind its partition's mark carries the mark as `order`: (order or timestamp, offset) then is
    Kafka's order within a partition, and comparable when a key moves to another one.
    `unwrap` reads values that are not JSON yet; the line then has the id of their schema.
    """

    def __init__(
        self,
        topic: str,
        table: str,
        limits: Slice,
        nonce: str,
        marks: OrderMarks,
        unwrap: Unwrap | None = None,
    ) -> None:
        self._unwrap = unwrap
        self._topic, self._table, self._limits, self._nonce = topic, table, limits, nonce
        self._classifier = Classifier()
        self._buffers: dict[tuple[int, int], _Buffer] = {}
        self._rolled: list[_Buffer] = []
        self.order_marks = marks
        self.records = self.value_bytes = self.misfiled = 0

    @property
    def full(self) -> bool:
        return (
            self.value_bytes >= self._limits.max_bytes
            or self.records >= self._limits.max_records
            or len(self._buffers) >= _MAX_BUFFERS
        )

    def add(self, messages: Sequence[KafkaMessage], ingest_ms: int) -> None:
        """`ingest_ms`: now; a record without a believable clock is filed under its hour.

        This loop is what phase 1 spends its time in: a plain record takes the straight path, and
        everything unusual goes to `_unusual`.
        """
        sound, marks, unwrap = self._classifier.sound, self.order_marks, self._unwrap
        latest = ingest_ms + HOUR_MS
        partition, hour, low, size = -1, -1, EARLIEST_MS, 0
        prefix, buffer, found, schema = b"", None, None, b""
        for message in messages:
            at, offset = message.partition(), message.offset()
            kind, timestamp = message.timestamp()
            key, value = message.key(), message.value()
            if unwrap is not None:
                key, found, schema = unwrap.key(key), None, b""
                if value is not None:
                    found = unwrap.value(value)
                    value = found.value
                    schema = b"" if found.schema is None else b'"schema":%d,' % found.schema
            if at != partition:
                partition, hour = at, -1
                low = max(marks.get(at, 0), EARLIEST_MS)
                prefix = b'{"partition":%d,"offset":' % at
            if (
                value is None
                or not kind
                or not low <= timestamp <= latest
                or message.headers()
                or (found is not None and found.reason is not None)
                or not sound(value)
            ):
                size += self._unusual(message, key, found or Unwrapped(value), ingest_ms)
                low = max(marks.get(at, 0), EARLIEST_MS)
                continue
            marks[at] = low = timestamp
            if timestamp // HOUR_MS != hour or buffer is None:
                hour = timestamp // HOUR_MS
                buffer = self._buffer(at, hour)
            text = encode_key(key)
            line = b'%b%d,"timestamp":%d,%b"key":%b,"value":%b}\n' % (
                prefix, offset, timestamp, schema, text, value,
            )  # fmt: skip
            if found is not None and found.schema is not None:
                buffer.schemas.add(found.schema)
            buffer.lines.append(line)
            buffer.offsets.append(offset)
            buffer.stamps.append(timestamp)
            size += len(line)
        self.records += len(messages)
        self.value_bytes += size
        self._flush_and_roll(everything=size >= _FLUSH_BYTES)

    def upload(self, store: ObjectStore) -> tuple[RawObject, ...]:
        """Puts every object; none is visible to readers before the commit."""
        buffers = self._rolled + list(self._buffers.values())
        if len(buffers) == 1:
            return (self._put(store, buffers[0]),)
        with ThreadPoolExecutor(_UPLOADS) as pool:
            objects = list(pool.map(lambda b: self._put(store, b), buffers))
        return tuple(sorted(objects, key=lambda o: (o.partition, o.first_offset)))

    def _unusual(
        self, message: KafkaMessage, key: bytes | None, found: Unwrapped, ingest_ms: int
    ) -> int:
        """Tombstones, headers, bad values, clocks that are not believed or go backwards."""
        partition, offset = message.partition(), message.offset()
        kind, timestamp = message.timestamp()
        value, mark = found.value, self.order_marks.get(partition, 0)
        head = b'{"partition":%d,"offset":%d,"timestamp":%d' % (partition, offset, timestamp)
        believed = bool(kind) and in_range(timestamp, ingest_ms)
        if believed and timestamp >= mark:
            self.order_marks[partition] = timestamp
        else:
            head += b',"order":%d' % mark
        self.misfiled += not believed
        buffer = self._buffer(partition, (timestamp if believed else ingest_ms) // HOUR_MS)
        if found.schema is not None:
            head += b',"schema":%d' % found.schema
            if found.reason is None:
                buffer.schemas.add(found.schema)
        line, rejected = self._classifier.line(head, key, message.headers(), value, found.reason)
        buffer.lines.append(line)
        buffer.offsets.append(offset)
        buffer.stamps.append(timestamp)
        if value is None:
            buffer.tombstones += 1
            buffer.tombstone_offset_sum += offset
        buffer.rejected += rejected
        return len(line)

    def _buffer(self, partition: int, hour: int) -> _Buffer:
        buffer = self._buffers.get((partition, hour))
        if buffer is None:
            buffer = self._buffers[partition, hour] = _Buffer(partition, hour)
        return buffer

    def _flush_and_roll(self, everything: bool) -> None:
        for place, buffer in list(self._buffers.items()):
            if everything or len(buffer.lines) >= _FLUSH_LINES:
                buffer.flush()
            if buffer.raw_bytes >= self._limits.roll_bytes:
                self._rolled.append(self._buffers.pop(place))

    def _put(self, store: ObjectStore, buffer: _Buffer) -> RawObject:
        data = buffer.close()
        window = window_key(buffer.hour)
        key = raw_key(
            self._topic, self._table, window, buffer.partition, buffer.first, buffer.last,
            self._nonce,
        )  # fmt: skip
        store.put(key, data)
        return RawObject(
            key=key,
            partition=buffer.partition,
            window=window,
            first_offset=buffer.first,
            last_offset=buffer.last,
            records=buffer.records,
            raw_bytes=buffer.raw_bytes,
            stored_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            min_timestamp=buffer.min_ts,
            max_timestamp=buffer.max_ts,
            offset_sum=buffer.offset_sum % _DIGEST_MODULUS,
            rejected=buffer.rejected,
            tombstones=buffer.tombstones,
            tombstone_offset_sum=buffer.tombstone_offset_sum % _DIGEST_MODULUS,
            schemas=tuple(sorted(buffer.schemas)),
        )
