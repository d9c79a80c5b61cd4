"""First sight of a topic: what its records look like, and the schema version 1 that comes of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace

from lake_platform.domain import naming
from lake_platform.domain.at_paths import rescuing_inside
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.mapping import FirstSight, Look, Path, shown
from lake_platform.domain.offsets import OffsetRange
from lake_platform.domain.ports import Kafka
from lake_platform.domain.registry import Declared, Unwrap, subject_of, unwrapping
from lake_platform.domain.schema import RESCUED_FIELD, Struct
from lake_platform.errors import OffsetsMissingError
from lake_platform.records.envelope import reject_reason
from lake_platform.records.looks import Watch
from lake_platform.records.opened import Opener
from lake_platform.sight.declared import columns_of
from lake_platform.sight.documented import with_said
from lake_platform.sight.profile import Profile
from lake_platform.sight.settle import NOTHING, settle

MOST_RECORDS = 20_000
_TRIES = 3
_PARTS = 3  # of a partition: its head, middle and tail


def look(
    kafka: Kafka,
    dataset: Dataset,
    limit: int = MOST_RECORDS,
    deadline_seconds: float = 10.0,
    clock: Callable[[], float] = time.monotonic,
) -> Look:
    """About `limit` records of the topic, from the head, the middle and the tail of its partitions.
    After `deadline_seconds` it goes by what was read so far.

    Raises:
        InvalidFieldError: the topic does not exist.
        KafkaUnavailableError: try again.
    """
    for left in reversed(range(_TRIES)):
        try:
            return _watched(kafka, dataset, limit, clock() + deadline_seconds, clock)
        except OffsetsMissingError:
            if not left:  # retention took the first messages between looking and reading
                raise
    raise AssertionError("unreachable")


def settled(
    values: Iterable[bytes | None],
    dataset: Dataset,
    profile: Profile,
    held: Struct = NOTHING,
    opener: Opener | None = None,
) -> Look:
    """First sight of values, added to `profile`. Null values and what phase 1 would reject are
    passed over. Objects of `held` stay what they are there. `opener` made the values, and knows
    what they declare."""
    for value in values:
        if value is not None and reject_reason(value) is None:
            profile.add(value)
    if opener is not None:
        dataset = opener.hinted(dataset)
    found = settle(profile, dataset, held)
    source = _all_inside(found.struct) if dataset.columns else found.struct
    if any("rescue" in line.rules for line in found.mapped):
        source = Struct((*source.fields, RESCUED_FIELD))
    sight = FirstSight(source, found.mapped, profile.to_json())
    if not source.fields:
        return Look(None, found.seen)
    return Look(sight, found.seen, tuple(map(_waits, found.unmet)))


def declared_sight(
    dataset: Dataset, declared: Collection[Declared], profile: Profile
) -> FirstSight:
    """First sight of records whose schemas are registered; `profile` is of some of them."""
    plain = columns_of(declared, dataset.hints, dataset.max_depth, dataset.envelope)
    lower = dataset.names == "lower"
    source = naming.named(Struct(), plain, (), dataset.hints, lower=lower)
    ids = ", ".join(str(one.id) for one in declared)
    lines = naming.lines(Struct(), source, f"declared by schema {ids}", dataset.hints)
    return FirstSight(source, with_said(lines, declared, dataset.envelope), profile.to_json())


def _all_inside(struct: Struct) -> Struct:
    """A hint may say what a column is whatever records have, so what is inside the elements of one
    that rescues was not seen together."""
    fields = []
    for one in struct.fields:
        kind = one.type
        if isinstance(kind, Struct):
            kind = _all_inside(kind)
        elif one.rescue:
            kind = rescuing_inside(kind, one.name, lambda _path: True)
        fields.append(replace(one, type=kind))
    return Struct(tuple(fields))


def _waits(path: Path) -> str:
    return (
        f"columns: no record that was looked at has {shown(path)}; the hint for it holds for those "
        f"that come"
    )


def _watched(
    kafka: Kafka, dataset: Dataset, limit: int, deadline: float, clock: Callable[[], float]
) -> Look:
    watch = Watch()
    unwrap = unwrapping(kafka.registry, dataset.value_format)
    profile, opener = Profile(), Opener(dataset)
    values = _values(kafka, dataset.topic, limit, deadline, clock, unwrap, opener)
    with closing(values):
        opened = _opened(opener, watch.over(values))
        found = settled(opened, dataset, profile, opener=opener)
    if unwrap is not None and (declared := _declared(kafka, dataset, unwrap)):
        sight = declared_sight(dataset, declared, profile)
        found = Look(sight, sight.source, found.warnings)
    useful = found.sight is not None
    warnings = [*watch.warnings(dataset.topic, useful=useful), *found.warnings]
    if not watch.seen and clock() >= deadline:
        warnings.append(
            f"topic {dataset.topic} gave no record in time, so its schema is not known: version 1 "
            f"comes with the first load"
        )
    key = opener.key_columns(found.sight.source) if found.sight else ()
    return Look(found.sight, found.seen, tuple(warnings), key)


def _opened(opener: Opener, values: Iterable[bytes | None]) -> Iterator[bytes | None]:
    for value in values:
        if value is None or not opener.any or reject_reason(value) is not None:
            yield value
        else:
            yield opener.value(value).data


def _values(
    kafka: Kafka,
    topic: str,
    limit: int,
    deadline: float,
    clock: Callable[[], float],
    unwrap: Unwrap | None,
    opener: Opener,
) -> Generator[bytes | None, None, None]:
    held = {p: r for p, r in kafka.describe(topic).ranges.items() if len(r)}
    if not held:
        return
    for ranges in _parts(held, math.ceil(limit / len(held))):
        with kafka.open(topic, ranges) as reader:
            while not reader.finished() and clock() < deadline:
                for message in reader.poll():
                    value, key = message.value(), message.key()
                    opener.watch_key(key if unwrap is None else unwrap.key(key))
                    yield value if unwrap is None or value is None else unwrap.value(value).value


def _declared(kafka: Kafka, dataset: Dataset, unwrap: Unwrap) -> list[Declared]:
    """By which the records were written; of a topic without any, the newest of its subject."""
    if unwrap.declared:
        return list(unwrap.declared.values())
    latest = kafka.registry.latest(subject_of(dataset.topic))
    return [] if latest is None else [latest]


def _parts(held: Mapping[int, OffsetRange], each: int) -> Iterator[dict[int, OffsetRange]]:
    """Ranges of at most `each` offsets a partition, all of a small one."""
    size = math.ceil(each / _PARTS)
    cut: list[dict[int, OffsetRange]] = [{} for _ in range(_PARTS)]
    for partition, whole in held.items():
        if len(whole) <= each:
            cut[0][partition] = whole
            continue
        for number in range(_PARTS):
            start = whole.start + number * (len(whole) - size) // (_PARTS - 1)
            cut[number][partition] = OffsetRange(start, start + size)
    return (ranges for ranges in cut if ranges)
