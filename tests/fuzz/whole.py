"""Mutated records through the real dump and load into a table, every one accounted for."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lake_platform.adapters.memory.systems import MemoryMessage
from lake_platform.domain.diff import diff
from lake_platform.domain.schema import Struct
from lake_platform.records.conform import (
    LongNumberError,
    parse_value,
)
from lake_platform.records.envelope import reject_reason
from lake_platform.records.observe import merge_observed, observe
from tests.fuzz import oracle
from tests.support import Lab

_EMPTY = re.compile(rb"[^\s]\s*(\[\s*\]|\{\s*\})")


def check_table(sent: Sequence[MemoryMessage], source: Struct) -> int:
    """Fails unless table, quarantine and declared drops together are the records sent.

    Left out are sound records that would stop the table (a schema conflict is an incident, the
    bad-input suite has those). Returns how many records were sent.
    """
    with tempfile.TemporaryDirectory(prefix="lake-fuzz-") as home:
        lab = Lab(Path(home))
        try:
            lab.register(source=source, format="parquet", max_quarantine_ratio=1.0)
            fits = Fitting(source)
            for message in sent:
                value = message.value()
                if value is None or not oracle.accepts(value):
                    reason = "" if value is None else reject_reason(value)
                    assert reason is not None, value
                    lab.send(value, key=message.key(), reason=str(reason))
                elif fits(value):
                    lab.send(value, key=message.key())
            lab.cycle()
            lab.account()
            return len(lab.sent["t"])
        finally:
            lab.close()


class Fitting:
    """Whether a value would change the table without breaking it, after those before it.

    Empty arrays and objects have no type yet, so no column to be found in: left out too.
    """

    def __init__(self, source: Struct) -> None:
        self._source, self._merged = source, source

    def __call__(self, value: bytes) -> bool:
        if _EMPTY.search(value):
            return False
        line = b'{"value":%b}' % value.replace(b"\n", b" ").replace(b"\r", b" ")
        try:
            seen = observe(parse_value(line), self._merged)
        except LongNumberError:
            return False
        if not isinstance(seen, Struct):
            return True
        merged: Any = merge_observed(self._merged, seen)
        changes = [
            c for base in (self._source, self._merged) for c in diff(base, seen, partial=True)
        ]
        changes += diff(self._source, merged, partial=True)
        reserved = any(f.name.lower().startswith(("_kafka_", "_hoodie_")) for f in seen.fields)
        if reserved or any(c.verdict == "breaking" for c in changes):
            return False
        self._merged = merged
        return True
