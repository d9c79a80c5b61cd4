"""A break that waits for an operator, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.decisions import Decision
from lake_platform.domain.progress import SchemaVersion


@dataclass(frozen=True, slots=True)
class Incident:
    """A break waiting for an operator. `changes` are `domain.diff.Change` as dicts, with how many
    records bring each and the first one; `kind` and `reason` as `Metastore.block` has them."""

    id: int
    table: str
    status: str
    batch: str
    changes: tuple[dict[str, Any], ...]
    samples: tuple[dict[str, Any], ...]
    opened_at: int
    resolved_at: int | None
    resolution: str
    resolved_by: str
    kind: str = "schema"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What resolving an incident puts on record: decisions, a schema version, and hints of the
    definition, whole, where those change; or the table that goes on with what is held."""

    resolution: str
    decisions: Sequence[Decision] = field(default_factory=tuple)
    version: SchemaVersion | None = None
    columns: Mapping[str, Mapping[str, Any]] | None = None
    continued_in: Dataset | None = None
