"""The kinds of tables that are killed: what is sent to one, and what its table must make of it.

What a record becomes is said here once more, by code that shares nothing with the platform's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lake_platform.domain.quality import Reason
from lake_platform.domain.transform import Transform
from tests.support import Sent

KEYS = 17
_MOVED = 100  # a key that was changed: of the same partition, and no other row's
_NOW_MS = 1_790_000_000_000
_STEP = """
from pyspark.sql import DataFrame, functions as F
from .factors import FACTOR

def tidy(frame: DataFrame) -> DataFrame:
    grown = F.udf(lambda n: n * FACTOR, "long")
    return frame.where("n % 7 <> 0").withColumn("grown", grown("n"))
"""


@dataclass(frozen=True)
class Rows:
    """Records are rows. `reads_another`: the raw of another dataset of the topic. `audited`: the
    deep audit must agree."""

    definition: Mapping[str, Any]
    code: Mapping[str, str] = field(default_factory=dict)
    reads_another: bool = False
    audited: bool = True

    def key(self, ident: int) -> bytes:
        return b"%d" % ident

    def value(self, number: int, row: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        return row

    def more(self, first: int) -> Iterator[tuple[int, dict[str, Any], str]]:  # noqa: ARG002
        """What else comes in a round: key, value, and why it must be in quarantine."""
        return iter(())

    def becomes(self, sent: Sent) -> list[Sent]:
        """The record as rows and tombstones by the plain key, in their order."""
        return [sent]


class Stepped(Rows):
    """Through a function of the definitions, then SQL."""

    def becomes(self, sent: Sent) -> list[Sent]:
        if sent.value is None or sent.reason:
            return [sent]
        row = json.loads(sent.value)
        row |= {"grown": row["n"] * 3, "half": row["n"] // 2}
        left_out = row["n"] % 7 == 0 or row["n"] % 11 == 0
        return [replace(sent, value=None if left_out else json.dumps(row).encode())]


class Filtered(Rows):
    """Through SQL; what no longer passes its WHERE is deleted."""

    def becomes(self, sent: Sent) -> list[Sent]:
        if sent.value is None or sent.reason:
            return [sent]
        row = json.loads(sent.value)
        if row["n"] % 5 == 0:
            return [replace(sent, value=None, key=b"%d" % row["id"])]
        return [replace(sent, value=json.dumps(row | {"half": row["n"] // 2}).encode())]


class Changes(Rows):
    """Events of Debezium: rows that come, change, change their key (and back), and go."""

    def key(self, ident: int) -> bytes:
        return json.dumps({"id": ident}).encode()

    def value(self, number: int, row: dict[str, Any]) -> dict[str, Any]:
        ident, turn = row["id"], number % 8
        before = {"id": ident, "n": -1, "day": row["day"]}
        if turn == 5:
            return _event("d", number, before, None)
        if turn == 3:
            return _event("u", number, before, row | {"id": ident + _MOVED})
        if turn == 6:
            return _event("u", number, before | {"id": ident + _MOVED}, row)
        return _event("u", number, before, row) if turn % 2 else _event("c", number, None, row)

    def more(self, first: int) -> Iterator[tuple[int, dict[str, Any], str]]:
        row = {"id": 1, "n": first, "day": "__debezium_unavailable_value"}
        yield 1, _event("u", first, None, row), Reason.LEFT_OUT.value
        yield 2, _event("m", first, None, None), ""

    def becomes(self, sent: Sent) -> list[Sent]:
        if sent.reason:
            return [sent]
        if sent.value is None:
            return [replace(sent, key=b"%d" % json.loads(sent.key or b"")["id"])]
        event = json.loads(sent.value)
        before, after, source = event["before"], event["after"], event["source"]
        made = []
        if before is not None and (after is None or before["id"] != after["id"]):
            made.append(replace(sent, value=None, key=b"%d" % before["id"]))
        if after is not None:
            ours = {
                "_op": event["op"],
                "_source_time": source["ts_ms"],
                "_source_position": f"{source['lsn']:020d}",
            }
            made.append(replace(sent, value=json.dumps(after | ours).encode()))
        return made


def _event(op: str, number: int, before: Any, after: Any) -> dict[str, Any]:
    source = {"connector": "postgresql", "lsn": number, "ts_ms": _NOW_MS + number, "table": "t"}
    return {"before": before, "after": after, "source": source, "op": op, "ts_ms": _NOW_MS}


_UPSERT = {"mode": "upsert", "primary_key": ("id",)}
_HALF = "SELECT *, CAST(floor(n / 2) AS BIGINT) AS half FROM input WHERE n % {} <> 0"
_STEPS = (
    Transform(kind="python", function="steps:tidy"),
    Transform(sql=_HALF.format(11)),
)
KINDS: Mapping[str, Rows] = {
    "parquet": Rows({"format": "parquet", "partition_by": ("day",)}, audited=False),
    "append": Rows({"partition_by": ("day",)}, audited=False),
    "upsert": Rows(_UPSERT, audited=False),
    "changes": Changes({**_UPSERT, "envelope": "debezium"}),
    "steps": Stepped(
        {"format": "parquet", "partition_by": ("day",), "transforms": _STEPS},
        code={"steps.py": _STEP, "factors.py": "FACTOR = 3\n"},
    ),
    "filtered": Filtered(
        {**_UPSERT, "transforms": (Transform(sql=_HALF.format(5)),), "filtered": "delete"}
    ),
    "reader": Rows({"partition_by": ("day",)}, reads_another=True),
}
