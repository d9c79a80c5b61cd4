"""Some partitions of a topic, read and uploaded slice by slice, in whatever process it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from lake_platform.domain.offsets import OffsetRange, RawObject, Slice
from lake_platform.domain.ports import Clock, Kafka, KafkaMessage, KafkaReader
from lake_platform.domain.registry import Declared, Unwrap, unwrapping
from lake_platform.domain.storage import ObjectStore
from lake_platform.dump.raw_slice import RawSlice
from lake_platform.errors import KafkaUnavailableError, OffsetsMissingError
from lake_platform.records.uncollected import uncollected

_STALL_MS = 60_000
_ASK_MS = 10_000  # a broker that is silent for this long is asked whether it is there


class OffsetsGoneError(Exception):
    """Kafka dropped what was to be read next. Only `dump` can say for whom, and what is left."""

    def __init__(self, positions: Mapping[int, int], ranges: Mapping[int, tuple[int, int]]) -> None:
        super().__init__(positions, ranges)
        self.positions, self.ranges = positions, ranges


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a part for one slice; `marks` are the order marks of its partitions."""

    nonce: str
    marks: Mapping[int, int]
    limits: Slice


@dataclass(frozen=True, slots=True)
class Part:
    """What a part brought into one slice: uploaded, and visible to nobody before the commit."""

    objects: tuple[RawObject, ...]
    positions: Mapping[int, int]
    order_marks: Mapping[int, int]
    misfiled: int
    finished: bool
    declared: Mapping[int, Declared] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PartJob:
    """Partitions of one dump, each with the offsets to read; a partition is in one part only, so
    its order is that part's."""

    topic: str
    table: str
    ranges: Mapping[int, OffsetRange]
    value_format: str = "json"

    @contextmanager
    def open(
        self, kafka: Kafka, store: ObjectStore, clock: Clock
    ) -> Iterator[Callable[[Wanted], Part]]:
        unwrap = unwrapping(kafka.registry, self.value_format)
        with kafka.open(self.topic, self.ranges) as reader:
            ask = partial(kafka.topic_id, self.topic)
            yield lambda wanted: self._read(reader, store, clock, wanted, unwrap, ask)

    def __str__(self) -> str:
        return (
            f"dataset {self.table!r}: reading partitions {sorted(self.ranges)} of topic "
            f"{self.topic!r}"
        )

    def _read(
        self,
        reader: KafkaReader,
        store: ObjectStore,
        clock: Clock,
        wanted: Wanted,
        unwrap: Unwrap | None,
        ask: Callable[[], object],
    ) -> Part:
        marks = dict(wanted.marks)
        content = RawSlice(self.topic, self.table, wanted.limits, wanted.nonce, marks, unwrap)
        moved_at = asked_at = clock()
        while not content.full and not reader.finished():
            messages = self._poll(reader)
            now = clock()
            if messages:
                with uncollected():
                    content.add(messages, now)
                moved_at = now
            elif now - moved_at > _STALL_MS and not reader.finished():
                raise self._stalled(reader)
            elif now - max(moved_at, asked_at) > _ASK_MS:
                ask()
                asked_at = clock()
        positions = dict(reader.positions())
        return Part(
            content.upload(store), positions, content.order_marks, content.misfiled,
            reader.finished(), {} if unwrap is None else dict(unwrap.declared),
        )  # fmt: skip

    def _poll(self, reader: KafkaReader) -> Sequence[KafkaMessage]:
        try:
            return reader.poll()
        except OffsetsMissingError as error:
            raise OffsetsGoneError(dict(reader.positions()), error.ranges) from error

    def _stalled(self, reader: KafkaReader) -> KafkaUnavailableError:
        return KafkaUnavailableError(
            f"dataset {self.table!r}: topic {self.topic!r} gave no record for "
            f"{_STALL_MS // 1000} s at {dict(reader.positions())} of ends "
            f"{ {p: r.end for p, r in self.ranges.items()} }; the slice was not committed"
        )
