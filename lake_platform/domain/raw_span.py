"""Which part of a raw log a table is made of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RawSpan:
    """Raw commits behind `after`, up to `until`; 0: up to the end of the log."""

    after: int = 0
    until: int = 0

    def holds(self, seq: int) -> bool:
        return self.after < seq and not 0 < self.until < seq
