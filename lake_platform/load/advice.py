"""What to know of a definition before its first record is loaded."""

from __future__ import annotations

from collections.abc import Iterator

from lake_platform.domain.change import POSITION_COLUMN
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.schema import Array, Map, Struct, Type
from lake_platform.load.origins import computed, origins


def advice(dataset: Dataset, source: Struct | None) -> list[str]:
    """Warnings for whoever registers it; `source` None while the topic is empty."""
    return [
        *_of_tombstones(dataset), *_of_ordering(dataset, source), *_of_same_names(dataset, source),
    ]  # fmt: skip


def _of_tombstones(dataset: Dataset) -> list[str]:
    made = computed(dataset) if dataset.mode == "upsert" else []
    if not made:
        return []
    return [
        f"primary_key {', '.join(made)} is computed by a step, so the Kafka key of a tombstone "
        f"cannot be matched with a row: tombstones go to quarantine. Let the step pass the key's "
        f"columns on as they are, or delete by delete_when"
    ]


def _of_ordering(dataset: Dataset, source: Struct | None) -> list[str]:
    name = dataset.ordering_field
    if not name or source is None:
        return []
    if dataset.envelope != "none" and name == POSITION_COLUMN:
        return [
            f"ordering_field {name}: positions that begin anew (a failover or a restore of the "
            f"source) make all that comes look older than what is there (docs/changes.md)"
        ]
    (origin,) = origins(dataset, [name], casts=False)
    column = source.get(origin.source) if origin.source else None
    if column is None or str(column.type) != "string":
        return []
    return [
        f"ordering_field {name} is text and compared as text: '10' is less than '9', and "
        f"'2026-11-01T10:00:00.5Z' less than '2026-11-01T10:00:00Z'. Where that is not the order "
        f"meant, cast it in a step: CAST({name} AS BIGINT) AS {name}, or to_timestamp({name})"
    ]


def _of_same_names(dataset: Dataset, source: Struct | None) -> list[str]:
    if dataset.mode != "upsert" or dataset.table_type != "cow" or source is None:
        return []
    held: dict[str, tuple[str, Type]] = {}
    for name, path, kind in _groups(source, ""):
        before, other = held.setdefault(name, (path, kind))
        if other != kind:
            return [
                f"table_type cow: {before} and {path} are objects of different columns under one "
                f"name, and Hudi cannot merge such files: the first update of a row would fail. "
                f"Give table_type=mor, or one of them the hint {{type: json}}"
            ]
    return []


def _groups(kind: Type, path: str, name: str = "") -> Iterator[tuple[str, str, Type]]:
    """Objects inside, by the name that Parquet files have for them."""
    if isinstance(kind, Struct):
        if name:
            yield name, path, kind
        for field in kind.fields:
            yield from _groups(field.type, f"{path}.{field.name}".strip("."), field.name)
    elif isinstance(kind, Array):
        yield from _groups(kind.element, f"{path}[]", "element")
    elif isinstance(kind, Map):
        yield from _groups(kind.value, f"{path}{{}}", "value")
