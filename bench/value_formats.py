"""`python -m bench.value_formats`: what phase 1 does with messages of each `value_format`, from the
message to the compressed lines, in CPU-seconds of one process. In turns, so that all meet the same
machine; the best of the turns counts."""

from __future__ import annotations

import base64
import json
import struct
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from lake_platform.adapters.memory.registry import MemoryRegistry
from lake_platform.adapters.memory.systems import MemoryMessage
from lake_platform.domain.offsets import Slice
from lake_platform.dump.raw_slice import RawSlice

_NOW_MS = 1_793_491_200_000
_POLL = 2_000
_WHOLE = Slice(1 << 40, 1 << 40)
_SCHEMA: dict[str, Any] = {
    "type": "record", "name": "Flight", "fields": [
        {"name": "id", "type": "long"},
        *({"name": n, "type": "int"} for n in ("year", "month", "day", "hour", "flight")),
        *({"name": n, "type": "string"} for n in ("carrier", "origin", "dest")),
        {"name": "tail", "type": ["null", "string"]},
        {"name": "delay", "type": ["null", "double"]},
        {"name": "distance", "type": "double"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal",
                                   "precision": 12, "scale": 2}},
    ],
}  # fmt: skip

_PROTO = """
syntax = "proto3";
import "google/protobuf/timestamp.proto";
message Flight {
  int64 id = 1; int32 year = 2; int32 month = 3; int32 day = 4; int32 hour = 5; int32 flight = 6;
  string carrier = 7; string origin = 8; string dest = 9; optional string tail = 10;
  optional double delay = 11; double distance = 12; google.protobuf.Timestamp at = 13;
  string price = 14;
}
"""


def main(
    records: Annotated[int, typer.Option(min=1_000)] = 100_000,
    turns: Annotated[int, typer.Option(min=1)] = 5,
) -> None:
    registry = MemoryRegistry()
    topics = _topics(registry, records)
    best = dict.fromkeys(topics, float("inf"))
    for _ in range(turns):
        for name, messages in topics.items():
            best[name] = min(best[name], _seconds(registry, name, messages))
    size = len(topics["json"][0].value() or b"")
    for name, seconds in best.items():
        typer.echo(f"{name:12} {records / seconds:10,.0f} records a CPU-second ({size} B as JSON)")


def _topics(registry: MemoryRegistry, records: int) -> dict[str, list[MemoryMessage]]:
    avro = registry.register("avro", _SCHEMA)
    plain = registry.register("json", {"type": "object"}, "json")
    proto = registry.register("protobuf", _PROTO, "protobuf")
    made = _proto_message(registry)
    names = ("json", "json_schema", "avro", "protobuf")
    found: dict[str, list[MemoryMessage]] = {name: [] for name in names}
    unwrap = registry.unwrap("avro")
    for number in range(records):
        framed = _framed(avro, _record(number))
        said = unwrap.value(framed)
        text = said.value or b""
        if said.reason is not None:
            raise AssertionError(f"record {number}: {said.reason}")
        forms = {
            "json": text, "json_schema": _framed(plain, text), "avro": framed,
            "protobuf": _framed(proto, b"\0" + _proto_record(made, json.loads(text))),
        }  # fmt: skip
        for name, value in forms.items():
            found[name].append(MemoryMessage(0, number, _NOW_MS, b"%d" % number, value))
    return found


def _proto_message(registry: MemoryRegistry) -> Any:
    from google.protobuf.descriptor_pb2 import FileDescriptorSet
    from google.protobuf.message_factory import GetMessages

    declared = registry.latest("protobuf")
    compiled = declared.compiled if declared else ""
    files = FileDescriptorSet.FromString(base64.b64decode(compiled)).file
    return GetMessages(files)["Flight"]


def _proto_record(made: Any, values: dict[str, Any]) -> bytes:
    at, price = values.pop("at"), values.pop("price")
    message = made(**values, price=f"{price:.2f}")
    message.at.FromJsonString(at)
    return bytes(message.SerializeToString())


def _record(number: int) -> bytes:
    """In Avro, as `_SCHEMA` has it."""
    numbers = [number, 2026, 11, number % 28 + 1, number % 24, number % 5_000]
    texts = [b"UA", b"EWR", b"IAH"]
    some = _long(1)  # the second of a union
    return b"".join([
        *map(_long, numbers), *map(_bytes, texts), some, _bytes(b"N%d" % (number % 90_000)),
        some, struct.pack("<d", number % 300 / 4), struct.pack("<d", 1400.0),
        _long(_NOW_MS + 1_000 * number), _bytes((number % 100_000).to_bytes(4, "big")),
    ])  # fmt: skip


def _long(number: int) -> bytes:
    """Of a number that is not negative."""
    left, out = number << 1, bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


def _bytes(data: bytes) -> bytes:
    return _long(len(data)) + data


def _framed(number: int, data: bytes) -> bytes:
    return b"\0" + number.to_bytes(4, "big") + data


def _seconds(registry: MemoryRegistry, name: str, messages: Sequence[MemoryMessage]) -> float:
    unwrap = None if name == "json" else registry.unwrap(name)
    content = RawSlice("t", "t", _WHOLE, "bench", {}, unwrap)
    began = time.process_time()
    for first in range(0, len(messages), _POLL):
        content.add(messages[first : first + _POLL], _NOW_MS)
    return time.process_time() - began


if __name__ == "__main__":
    typer.run(main)
