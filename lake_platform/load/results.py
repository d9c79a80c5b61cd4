"""What loading and verifying give back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lake_platform.domain.batches import AppliedBatch
from lake_platform.domain.casts import Lost
from lake_platform.domain.diff import Change
from lake_platform.domain.rules import Broken
from lake_platform.domain.schema import Struct


@dataclass(frozen=True, slots=True)
class LoadResult:
    """One applied batch. `windows` maps each window of the batch to its records; `rescued` counts
    values in `_rescued` by the path they had, `passed_over` those that hints drop, or that do not
    fit and no step looks at, by theirs; `released` are keys of quarantine objects that records came
    back from; `broken`: rules that rows of the batch break, by name; `lost`: what casts of the
    steps made NULL of, by column; one with casts that is not in it could not be counted;
    `dropped_columns`: by `absent_for`."""

    table: str
    applied: AppliedBatch
    windows: Mapping[str, int]
    changes: tuple[Change, ...]
    schema_version: int
    table_schema: Struct
    quarantined: Mapping[str, int]
    rescued: Mapping[str, int]
    seconds: float
    files: int
    bytes: int
    passed_over: Mapping[str, int] = field(default_factory=dict)
    released: tuple[str, ...] = ()
    broken: Mapping[str, Broken] = field(default_factory=dict)
    lost: Mapping[str, Lost] = field(default_factory=dict)
    dropped_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WindowReport:
    """Whether an applied window still is what its commits say. `problems` is empty when it is;
    `expired` objects were removed by raw retention."""

    table: str
    window: str
    objects: int
    records: int
    raw_bytes: int
    applied: bool
    expired: int = 0
    problems: tuple[str, ...] = ()
