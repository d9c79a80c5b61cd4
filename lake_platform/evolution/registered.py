"""Schema changes whose reason is a schema of the registry."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lake_platform.domain.bundle import Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.diff import diff
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.registry import Declared, subject_of
from lake_platform.domain.schema import Struct
from lake_platform.raw import schemas as raw_schemas
from lake_platform.sight.declared import columns_of
from lake_platform.sight.documented import with_said


def read(dataset: Dataset, ports: Ports, commits: Sequence[RawCommit]) -> list[Declared]:
    """By which these commits were read."""
    return list(raw_schemas.read(ports.store, dataset.raw_table, commits))


def columns(dataset: Dataset, declared: Collection[Declared]) -> Struct:
    return columns_of(declared, dataset.hints, dataset.max_depth, dataset.envelope)


def with_reason(
    dataset: Dataset, base: SchemaVersion, new: SchemaVersion, declared: Collection[Declared]
) -> SchemaVersion:
    """`new`, which came of what `declared` have beyond `base`, with who is the reason and what is
    said of its fields."""
    if new is base or not declared:
        return new
    bring = [d for d in declared if diff(base.source, columns(dataset, [d]), partial=True)]
    told = tuple(f"{_told(d, dataset.topic)}; automatic here" for d in bring or declared)
    mapped = with_said(new.mapped, declared, dataset.envelope)
    return replace(new, changes=(*new.changes, *told), mapped=mapped)


def blamed(
    dataset: Dataset, declared: Collection[Declared], details: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Details of an incident, with the newest schema of its records and what the registry says."""
    if not declared:
        return {path: dict(found) for path, found in details.items()}
    newest = max(declared, key=lambda d: d.id)
    said = f"{_told(newest, dataset.topic)}; breaking here"
    return {path: {**found, "registry": said} for path, found in details.items()}


def names_declared(declared: Collection[Declared], dataset: Dataset, source: Struct) -> set[str]:
    """Root columns of `source` that one of these schemas still has."""
    said = columns(dataset, declared)
    return {f.name for f in source.fields if any(said.of_key(key) for key in f.keys)}


def _told(declared: Declared, topic: str) -> str:
    places = declared.registered
    own = [p for p in places if p.subject == subject_of(topic)] or list(places)
    if not own:
        return f"declared by schema {declared.id}"
    place = own[0]
    text = f"declared by schema {declared.id}, version {place.version} of {place.subject}"
    if place.fits is None:
        return f"{text}; in the registry {place.level}" if place.level else text
    verdict = "compatible" if place.fits else "not compatible"
    return f"{text}; in the registry {place.level}, {verdict} with the version before"
