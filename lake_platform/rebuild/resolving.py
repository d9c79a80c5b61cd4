"""A resolution that changes the type of a column under its rows: a rebuild, swapped in."""

from __future__ import annotations

from collections.abc import Iterator

from lake_platform.domain.resolutions import Asked
from lake_platform.load.results import LoadResult
from lake_platform.metastore.incident import Incident
from lake_platform.metastore.resolving import Rebuilding
from lake_platform.metastore.service import UseCases
from lake_platform.rebuild.rebuild import Begun, Rebuilder, Resolving


def begin(rebuilder: Rebuilder, asked: Rebuilding, actor: str) -> Begun:
    """Raises: as `Rebuilder.begin`."""
    resolving = Resolving(asked.said, asked.decisions)
    return rebuilder.begin(asked.table, asked.changes, actor, resolving=resolving)


def resolve(
    use_cases: UseCases, rebuilder: Rebuilder, incident: int, asked: Asked, actor: str
) -> Iterator[LoadResult]:
    """From the incident to its end, whatever that takes; yields the batches of a rebuild.

    Raises: as `UseCases.resolve_incident` and `Rebuilder`.
    """
    anew = use_cases.rebuilding(incident, asked)
    if anew is None:
        use_cases.resolve_incident(incident, asked, actor)
        return
    begin(rebuilder, anew, actor)
    yield from rebuilder.build(anew.table)
    rebuilder.swap(anew.table)
    use_cases.notify(anew.table)


def resolved(
    use_cases: UseCases, rebuilder: Rebuilder, incident: int, asked: Asked, actor: str
) -> Incident:
    """As `resolve`, to its end."""
    for _ in resolve(use_cases, rebuilder, incident, asked, actor):
        pass
    return use_cases.store.incident(incident)
