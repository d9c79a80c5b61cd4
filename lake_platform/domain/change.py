"""Change events: what a connector says of one row of a database, in the envelope of its kind.

debezium   {"before": …, "after": …, "source": …, "op": "c"}, also wrapped in schema and payload
canal      {"data": [{…}], "old": [{…}], "type": "UPDATE", "isDdl": false}
maxwell    {"data": {…}, "old": {…}, "type": "update"}
ogg        {"before": …, "after": …, "op_type": "U", "pos": "…"}
dms        {"data": {…}, "metadata": {"record-type": "data", "operation": "update"}}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Envelope = Literal["none", "debezium", "canal", "maxwell", "ogg", "dms", "auto"]
Op = Literal["c", "r", "u", "d", "t"]
"""Create, read by a snapshot, update, delete, truncate."""

# Keys that stand for what the envelope says beside the row; no record has them.
OP_KEY, OP_COLUMN = "(op)", "_op"
TIME_KEY, TIME_COLUMN = "(source time)", "_source_time"
POSITION_KEY, POSITION_COLUMN = "(source position)", "_source_position"
MADE_KEYS = (OP_KEY, TIME_KEY, POSITION_KEY)
TRUNCATE = "(truncate)"
"""The path of a change of an incident: the source table was emptied."""


def usual_mode(envelope: Envelope) -> Literal["append", "upsert"]:
    return "append" if envelope == "none" else "upsert"


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """`row` is JSON of the row after it, `before` of the row, or its key, before it; None where
    that is not said. `position` is text that sorts as the source's log does; `time` is the source's
    clock in milliseconds."""

    op: Op
    row: bytes | None = None
    before: bytes | None = None
    position: str = ""
    time: int | None = None
