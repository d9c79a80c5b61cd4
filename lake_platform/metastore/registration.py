"""What became of a registration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lake_platform.domain.mapping import Mapped
from lake_platform.domain.progress import DatasetRecord, SchemaVersion


@dataclass(frozen=True, slots=True)
class Registration:
    """`schema` is None while the topic is empty; the first load infers it then. `mapped`: how the
    paths of its records come to columns."""

    record: DatasetRecord
    schema: SchemaVersion | None
    mapped: Sequence[Mapped] = field(default_factory=tuple)
    warnings: Sequence[str] = field(default_factory=tuple)
