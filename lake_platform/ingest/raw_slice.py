"""One slice of a dump: records in, raw objects out, compressed as they come to keep memory flat."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from isal import isal_zlib

from lake_platform.domain.layout import raw_key
from lake_platform.domain.offsets import RawObject, Slice
from lake_platform.domain.ports import KafkaMessage, ObjectStore
from lake_platform.domain.windows import HOUR_MS, in_range, window_key
from lake_platform.ingest.envelope import Classifier, OrderMarks, single_line

_FLUSH_BYTES = 256 << 10
_UPLOADS = 8
_DIGEST_MODULUS = 1 << 64
_GZIP = 31  # zlib's window bits for a gzip stream


class _Buffer:
    """The object of one partition and window that is being filled."""

    __slots__ = (
        "_gzip", "_lines", "_parts", "_pending", "first", "hour", "last", "max_ts", "min_ts",
        "offset_sum", "partition", "raw_bytes", "records", "rejected", "tombstones",
    )  # fmt: skip

    def __init__(self, partition: int, hour: int, first: int) -> None:
        self.partition, self.hour, self.first, self.last = partition, hour, first, first
        self._gzip: Any = isal_zlib.compressobj(level=1, wbits=_GZIP)
        self._lines: list[bytes] = []
        self._parts: list[bytes] = []
        self._pending = self.raw_bytes = self.records = self.offset_sum = 0
        self.rejected = self.tombstones = 0
        self.min_ts, self.max_ts = 1 << 62, -(1 << 62)

    def add(self, line: bytes, offset: int, timestamp: int) -> None:
        self._lines.append(line)
        self._pending += len(line)
        self.records += 1
        self.last = offset
        self.offset_sum += offset
        # Not min() and max(): calls are what this loop's time goes to.
        if timestamp < self.min_ts:  # noqa: PLR1730
            self.min_ts = timestamp
        if timestamp > self.max_ts:  # noqa: PLR1730
            self.max_ts = timestamp
        if self._pending >= _FLUSH_BYTES:
            self._flush()

    def close(self) -> bytes:
        self._flush()
        self._parts.append(self._gzip.flush())
        return b"".join(self._parts)

    def _flush(self) -> None:
        joined = single_line(self._lines)
        self.raw_bytes += len(joined)
        self._parts.append(self._gzip.compress(joined))
        self._lines, self._pending = [], 0


class RawSlice:
    """Collects the records of one raw commit.

    `order_marks` (partition -> highest believed timestamp) goes on from commit to commit. A record
    behind its partition's mark carries the mark as `order`: (order or timestamp, offset) then is
    Kafka's order within a partition, and comparable when a key moves to another one.
    """

    def __init__(
        self, topic: str, table: str, limits: Slice, nonce: str, marks: OrderMarks
    ) -> None:
        self._topic, self._table, self._limits, self._nonce = topic, table, limits, nonce
        self._classifier = Classifier()
        self._buffers: dict[tuple[int, int], _Buffer] = {}
        self._rolled: list[_Buffer] = []
        self.order_marks = marks
        self.records = self.value_bytes = self.misfiled = 0

    @property
    def full(self) -> bool:
        return (
            self.value_bytes >= self._limits.max_bytes or self.records >= self._limits.max_records
        )

    def add(self, messages: Iterable[KafkaMessage], ingest_ms: int) -> None:
        """`ingest_ms`: now; a record without a believable clock is filed under its hour."""
        make_line, buffers, marks = self._classifier.line, self._buffers, self.order_marks
        size = 0
        for message in messages:
            partition, offset = message.partition() or 0, message.offset() or 0
            kind, timestamp = message.timestamp()
            value = message.value()
            head = b'{"partition":%d,"offset":%d,"timestamp":%d' % (partition, offset, timestamp)
            if kind and in_range(timestamp, ingest_ms):
                hour, mark = timestamp // HOUR_MS, marks.get(partition, 0)
                if timestamp >= mark:
                    marks[partition] = timestamp
                else:
                    head += b',"order":%d' % mark
            else:
                hour = ingest_ms // HOUR_MS
                self.misfiled += 1
                head += b',"order":%d' % marks.get(partition, 0)
            line, rejected = make_line(head, message.key(), message.headers(), value)
            buffer = buffers.get((partition, hour))
            if buffer is None:
                buffer = buffers[partition, hour] = _Buffer(partition, hour, offset)
            buffer.add(line, offset, timestamp)
            if value is None:
                buffer.tombstones += 1
            elif rejected:
                buffer.rejected += 1
            size += len(line)
            self.records += 1
        self.value_bytes += size
        self._roll()

    def upload(self, store: ObjectStore) -> tuple[RawObject, ...]:
        """Puts every object; none is visible to readers before the commit."""
        buffers = self._rolled + list(self._buffers.values())
        with ThreadPoolExecutor(_UPLOADS) as pool:
            objects = list(pool.map(lambda b: self._put(store, b), buffers))
        return tuple(sorted(objects, key=lambda o: (o.partition, o.first_offset)))

    def _roll(self) -> None:
        for place, buffer in list(self._buffers.items()):
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
        )
