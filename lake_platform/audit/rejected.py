"""Records that an operator's decision drops: told from their values, not from what was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lake_platform.audit.ledger import Ledger
from lake_platform.audit.raw import RawLine
from lake_platform.audit.scalars import UnfitError
from lake_platform.audit.values import Projector
from lake_platform.domain.decisions import Decision
from lake_platform.domain.ports import KafkaMessage

# `p` has each record of the topic with the raw commit it is in.
_REJECTED = """
CREATE TABLE rejected AS
SELECT DISTINCT m.part, m.off FROM misfits m
JOIN p ON p.part = m.part AND p.off = m.off
JOIN rejects r ON r.col = m.col AND p.seq BETWEEN r.first AND r.last
"""
_NOW_ON = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Rejects:
    """`spans`: column of the table, first and last raw commit."""

    spans: tuple[tuple[str, int, int], ...] = ()

    @classmethod
    def of(cls, decisions: Sequence[Decision]) -> Rejects:
        """Of a nested path the whole column: what is decided of another part of it is rare."""
        return cls(tuple(
            (d.path.split(".")[0].split("[")[0].split("{")[0], d.first_seq, d.last_seq or _NOW_ON)
            for d in decisions if d.action == "reject"
        ))  # fmt: skip

    def __bool__(self) -> bool:
        return bool(self.spans)

    def covers(self, seq: int) -> bool:
        return any(first <= seq <= last for _, first, last in self.spans)


def settle(ledger: Ledger, rejects: Rejects) -> None:
    """Makes `rejected` of what the sink found. Needs `p`."""
    for span in rejects.spans:
        ledger.add("rejects", *span)
    ledger.run(_REJECTED)


class MisfitSink:
    """Puts each record of which a column cannot hold the value into the ledger, with the column."""

    def __init__(self, ledger: Ledger, projector: Projector, rejects: Rejects) -> None:
        self._ledger, self._projector = ledger, projector
        self._columns = frozenset(column for column, _, _ in rejects.spans)

    def message(self, message: KafkaMessage) -> None:
        self._note(message.partition(), message.offset(), message.value())

    def raw_line(self, line: RawLine) -> None:
        self._note(line.partition, line.offset, line.sent)

    def _note(self, partition: int, offset: int, value: bytes | None) -> None:
        if value is None:
            return
        try:
            row, _ = self._projector.read(value, None)
            misfits = [] if row is None else self._projector.misfits(row, self._columns)
        except (UnfitError, RecursionError):
            return  # no JSON object: it is in quarantine
        for column in misfits:
            self._ledger.add("misfits", partition, offset, column)

    def close(self) -> None:
        """Nothing is held back."""
