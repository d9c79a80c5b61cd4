"""Schema version 1 from the first messages of a topic, when no registry knows one."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator

from lake_platform.domain.diff import diff
from lake_platform.domain.offsets import OffsetRange
from lake_platform.domain.ports import Kafka
from lake_platform.domain.schema import (
    UNKNOWN,
    Array,
    Decimal,
    Field,
    Mixed,
    Struct,
    Type,
    without_unknown,
)
from lake_platform.errors import OffsetsMissingError
from lake_platform.records.envelope import reject_reason
from lake_platform.records.looks import Watch
from lake_platform.records.observe import merge_observed, observe

_TRIES = 3


def infer_source(
    kafka: Kafka,
    topic: str,
    limit: int = 1000,
    deadline_seconds: float = 10.0,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Struct | None, list[str]]:
    """The schema of about `limit` first messages, spread over the partitions, and warnings.

    None when they hold no record that could become a row; why not is among the warnings, which
    are empty for a topic without records. After `deadline_seconds` it goes by what was read so far.

    Raises:
        InvalidFieldError: the topic does not exist.
        KafkaUnavailableError: try again.
    """
    seen, warnings = _seen(kafka, topic, limit, deadline_seconds, clock)
    known = without_unknown(seen)
    return (known if isinstance(known, Struct) else None), warnings


def seen_source(kafka: Kafka, topic: str, limit: int = 1000) -> Struct:
    """As `infer_source`, with the columns that were only null or empty so far, as unknown."""
    return _seen(kafka, topic, limit, 10.0, time.monotonic)[0]


def _seen(
    kafka: Kafka, topic: str, limit: int, deadline_seconds: float, clock: Callable[[], float]
) -> tuple[Struct, list[str]]:
    for left in reversed(range(_TRIES)):
        try:
            return _watched(kafka, topic, limit, clock() + deadline_seconds, clock)
        except OffsetsMissingError:
            if not left:  # retention took the first messages between looking and reading
                raise
    return Struct(), []


def _watched(
    kafka: Kafka, topic: str, limit: int, deadline: float, clock: Callable[[], float]
) -> tuple[Struct, list[str]]:
    watch = Watch()
    values = watch.over(_first_values(kafka, topic, limit, deadline, clock))
    found, warnings = observe_records(values)
    warnings += watch.warnings(topic, useful=isinstance(without_unknown(found), Struct))
    if not watch.seen and clock() >= deadline:
        warnings.append(
            f"topic {topic} gave no record in time, so its schema is not known: version 1 comes "
            f"with the first load"
        )
    return found, warnings


def infer_records(values: Iterable[bytes | None]) -> tuple[Struct | None, list[str]]:
    """The schema of JSON values: columns in the order first seen, all nullable, no unknown parts.

    Null values and what phase 1 would reject are passed over. Where types conflict the first one
    seen stays; a warning names the column and both types.
    """
    seen, warnings = observe_records(values)
    known = without_unknown(seen)
    return (known if isinstance(known, Struct) else None), warnings


def observe_records(values: Iterable[bytes | None]) -> tuple[Struct, list[str]]:
    """As `infer_records`, with the unknown parts."""
    seen: Type = Struct()
    warnings: dict[str, str] = {}
    for value in values:
        if value is None or reject_reason(value) is not None:
            continue
        record = _settled(observe(json.loads(value), seen), seen, warnings)
        if isinstance(record, Struct) and isinstance(seen, Struct):
            merged = merge_observed(seen, record)
            for change in diff(merged, record, partial=True) if isinstance(merged, Struct) else ():
                warnings.setdefault(
                    change.path,
                    f"column {change.path}: {change.before} at first, {change.after} later; it "
                    f"stays {change.before}, and the later records will stop the table as a "
                    f"breaking change",
                )
            seen = merged
    return (seen if isinstance(seen, Struct) else Struct()), list(warnings.values())


def infer_value(value: object) -> Type:
    """The type of one parsed JSON value: boolean, long, double, string, struct, array or unknown
    (nulls, empty arrays and objects, integers beyond 64 bits)."""
    return _settled(observe(value), UNKNOWN, {})


def _settled(kind: Type, like: Type, warnings: dict[str, str], path: str = "") -> Type:
    """`kind` less what version 1 must not hold: integers beyond 64 bits and case twins."""
    if isinstance(kind, Struct):
        return _settled_struct(kind, like, warnings, path)
    if isinstance(kind, Array):
        inner = like.element if isinstance(like, Array) else UNKNOWN
        return Array(_settled(kind.element, inner, warnings, f"{path}[]"))
    if isinstance(kind, Mixed):
        warnings.setdefault(
            path,
            f"column {path}: {kind} in one array; it stays {kind.first}, and such records will "
            f"stop the table as a breaking change",
        )
        return _settled(kind.first, like, warnings, path)
    if isinstance(kind, Decimal):
        warnings.setdefault(
            path, f"column {path}: an integer beyond 64 bits; it does not count for the type"
        )
        return UNKNOWN
    return kind


def _settled_struct(kind: Struct, like: Type, warnings: dict[str, str], prefix: str) -> Struct:
    known = like if isinstance(like, Struct) else Struct()
    folded = {f.name.casefold(): f.name for f in known.fields}
    fields = []
    for field in kind.fields:
        path = f"{prefix}.{field.name}" if prefix else field.name
        first = folded.setdefault(field.name.casefold(), field.name)
        if first != field.name:
            warnings.setdefault(
                path, f"column {path} differs from {first} only in case and is left out"
            )
            continue
        same = known.get(field.name)
        settled = _settled(field.type, same.type if same else UNKNOWN, warnings, path)
        fields.append(Field(field.name, settled))
    return Struct(tuple(fields))


def _first_values(
    kafka: Kafka, topic: str, limit: int, deadline: float, clock: Callable[[], float]
) -> Iterator[bytes | None]:
    held = {p: r for p, r in kafka.describe(topic).ranges.items() if len(r)}
    if not held:
        return
    each = math.ceil(limit / len(held))
    ranges = {p: OffsetRange(r.start, min(r.end, r.start + each)) for p, r in held.items()}
    with kafka.open(topic, ranges) as reader:
        while not reader.finished() and clock() < deadline:
            for message in reader.poll():
                yield message.value()
