"""A table that is built anew from raw beside the live one, to be swapped in."""

from __future__ import annotations

from dataclasses import dataclass

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.part import Part, definition_of, part_of

_GENERATION = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Shadow(Part):
    """What a rebuild loads: a table of its own, made of the raw of `rebuild_of`, under the
    definition that one is to have.

    Claims and batch records are numbered from behind `begins_after`, which is above all that the
    live table ever comes to: who stood still while it was swapped can commit nothing then.
    `keeps_columns`: version 1 of its schema is the live table's, with what was asked for in it, and
    not what the first batch alone would give.
    """

    rebuild_of: str
    begins_after: int = 0
    keeps_columns: bool = True

    @property
    def live_table(self) -> str:
        return self.rebuild_of

    @property
    def first_epoch(self) -> int:
        return self.begins_after

    @property
    def settles(self) -> bool:
        return not self.keeps_columns

    @property
    def live(self) -> Dataset:
        """The definition of the live table once this one is in its place."""
        values = definition_of(self) | {"table": self.rebuild_of}
        return part_of(Dataset(**values), self.span)


@dataclass(frozen=True, slots=True)
class Rebuild:
    """A rebuild that is under way; `base_version` is that of the live definition it began with."""

    shadow: Shadow
    base_version: int
    actor: str
    begun_at: int


def shadow_of(wanted: Dataset, name: str, begins_after: int, *, keeps_columns: bool) -> Shadow:
    """`wanted`: the definition of the live table after the rebuild."""
    return Shadow(
        **definition_of(wanted) | {"table": name},
        rebuild_of=wanted.table,
        span=wanted.raw_span,
        begins_after=begins_after,
        keeps_columns=keeps_columns,
    )


def next_generation(number: int) -> int:
    """Above `number`, and above what a table comes to in thirty years of a batch each second."""
    return (number // _GENERATION + 1) * _GENERATION
