"""A dataset whose table is made of a part of its raw log."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.raw_span import RawSpan


@dataclass(frozen=True, kw_only=True)
class Part(Dataset):
    """`span` is on record, and no field of the definition."""

    span: RawSpan = field(default_factory=RawSpan)

    @property
    def raw_span(self) -> RawSpan:
        return self.span


def part_of(dataset: Dataset, span: RawSpan) -> Dataset:
    """`dataset` itself when its table is made of the whole log."""
    return dataset if span == RawSpan() else Part(**definition_of(dataset), span=span)


def definition_of(dataset: Dataset) -> dict[str, Any]:
    """Its fields, without what a subclass adds."""
    return {f.name: getattr(dataset, f.name) for f in fields(Dataset)}
