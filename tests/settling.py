"""The first schema of a few records, for tests."""

from __future__ import annotations

from typing import Any

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.mapping import Mapped, shown
from lake_platform.sight.profile import Profile
from lake_platform.sight.settle import Settled, settle

UUID = "00000000-0000-4000-8000-{:012d}"


def settled(*records: str, **options: Any) -> Settled:
    profile = Profile()
    for number, record in enumerate(records):
        profile.add(record.encode(), f"0:{number}")
    return settle(profile, Dataset(topic="t", table="t", **options))


def types(found: Settled) -> dict[str, str]:
    return {f.name: str(f.type) for f in found.struct.fields}


def line(found: Settled, path: str) -> Mapped:
    return next(m for m in found.mapped if shown(m.path) == path)
