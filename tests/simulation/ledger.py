"""What was really produced, and what must become of it: knows nothing of the platform's code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tests.simulation.plan import Kind, Setting

Place = tuple[int, int]
HOUR_MS = 3_600_000
TOMBSTONE = "tombstone in an append table"
_NO_KEY = "primary key is null or missing"
_NO_TOMBSTONE_KEY = "the key of the tombstone does not give the primary key"
_NOT_JSON = "not one valid JSON document"
_DECIDED = "a value is of another type than its column, put aside by an operator's decision"


@dataclass(frozen=True, slots=True)
class Sent:
    kind: Kind
    id: int
    number: int
    partition: int
    offset: int
    timestamp: int
    value: bytes | None
    fate: str = ""
    """What an operator decided of a breaking value: rescue, quarantine, reject."""

    @property
    def place(self) -> Place:
        return self.partition, self.offset


def value_of(kind: Kind, id_: int, number: int) -> bytes | None:
    """Odd ids with no key are tombstones that name none."""
    if kind == "tombstone" or (kind == "no-key" and id_ % 2):
        return None
    if kind == "bad":
        return b'{"id":'
    value: dict[str, object] = {"id": id_, "n": number}
    if kind == "no-key":
        del value["id"]
    elif kind == "column":
        value["extra"] = number
    elif kind == "breaking":
        value["n"] = {"no": "number"}
    return json.dumps(value).encode()


def ended(sent: Sent, fate: str) -> Sent:
    """The record as it must end when breaking values have this fate."""
    if sent.kind != "breaking" or not fate or sent.value is None:
        return sent
    value = json.loads(sent.value)
    rescued = f'{{"/n":{json.dumps(value.pop("n"))}}}'
    if fate == "rescue":
        value["_rescued"] = rescued
    return replace(sent, value=json.dumps(value).encode(), fate=fate)


def reason(sent: Sent, setting: Setting) -> str:
    """Why the record must be in quarantine; empty when it must not."""
    if sent.kind == "bad":
        return _NOT_JSON
    if sent.fate == "quarantine":
        return _DECIDED
    if setting.mode == "append":
        quarantined = sent.value is None and setting.tombstones == "quarantine"
        return TOMBSTONE if quarantined else ""
    if sent.kind == "no-key":
        return _NO_KEY if sent.value is not None else _NO_TOMBSTONE_KEY
    return ""


def rows_of_append(sent: Iterable[Sent], setting: Setting) -> dict[Place, dict[str, object]]:
    return {
        s.place: json.loads(s.value)
        for s in sent
        if s.value is not None and s.fate != "reject" and not reason(s, setting)
    }


def rows_of_upsert(sent: Iterable[Sent], setting: Setting) -> dict[object, dict[str, object]]:
    """The last record of each key in Kafka's order: no clock of a partition goes backwards."""
    marks: dict[int, int] = {}
    ordered = []
    for s in sorted(sent, key=lambda s: s.place):
        marks[s.partition] = max(marks.get(s.partition, 0), s.timestamp)
        ordered.append(((marks[s.partition], s.offset), s))
    last: dict[object, dict[str, object]] = {}
    for _, s in sorted(ordered, key=lambda pair: pair[0]):
        if reason(s, setting) or s.fate == "reject":
            continue
        if s.value is None:
            last.pop(s.id, None)
        else:
            value = json.loads(s.value)
            last[value["id"]] = value
    return last


def holds(row: Mapping[str, object], value: Mapping[str, object]) -> bool:
    """The row has all that was sent, and null where nothing was. Numbers and objects that met in
    the first batch of a table are JSON text."""
    plain = {k: v for k, v in row.items() if not k.startswith("_kafka_")}
    return all(_same(plain.get(k), v) for k, v in value.items()) and all(
        v is None for k, v in plain.items() if k not in value
    )


def _same(held: object, said: object) -> bool:
    return held == said or (isinstance(held, str) and json.loads(held) == said)
