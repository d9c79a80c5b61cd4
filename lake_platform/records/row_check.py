"""What a record must have in the columns that its dataset names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.quality import MAX_KEY_BYTES, Reason, bad_partition
from lake_platform.domain.schema import Struct

Place = Callable[[int], Any]
"""The value of a record at a place of the schema."""


def row_check(dataset: Dataset, schema: Struct) -> Callable[[Place], Reason | None] | None:
    """What a record's named columns must be; None when none is named. With transforms the table's
    columns are the engine's to check."""
    if dataset.transformed:
        return None
    # What is new in a batch has no name yet, and stands behind.
    places = {f.name: i for i, f in reversed(list(enumerate(schema.fields)))}
    key = [places[c] for c in dataset.primary_key if c in places]
    # An empty part of several is a key like any other.
    lone = (
        key[0] if dataset.mode == "upsert" and len(dataset.primary_key) == len(key) == 1 else None
    )
    ordering = places.get(dataset.ordering_field) if dataset.ordering_field else None
    texts = [
        places[c]
        for c in dataset.partition_by
        if (f := schema.get(c)) is not None and str(f.type) == "string"
    ]
    if not (key or texts or ordering is not None):
        return None

    def check(at: Place) -> Reason | None:
        if reason := _bad_key([at(i) for i in key]):
            return reason
        if lone is not None and at(lone) == "":
            return Reason.NULL_KEY
        if ordering is not None and at(ordering) is None:
            return Reason.NULL_ORDERING
        found = (bad_partition(text) for i in texts if (text := at(i)))
        return next((reason for reason in found if reason), None)

    return check


def _bad_key(parts: Sequence[Any]) -> Reason | None:
    if any(part is None for part in parts):
        return Reason.NULL_KEY
    size = sum(len(part.encode()) if isinstance(part, str) else 8 for part in parts)
    return Reason.KEY_TOO_LARGE if size > MAX_KEY_BYTES else None
