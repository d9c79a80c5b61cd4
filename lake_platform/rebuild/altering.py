"""Columns that are renamed, or get another key of the records: by a change of the definition, or by
a rebuild that is swapped in."""

from __future__ import annotations

from collections.abc import Iterator

from lake_platform.load.results import LoadResult
from lake_platform.metastore.altering import Altering
from lake_platform.metastore.service import UseCases
from lake_platform.rebuild.rebuild import Rebuilder


def in_place(use_cases: UseCases, asked: Altering, actor: str) -> bool:
    """Whether that was all. Raises: as `UseCases.change_dataset`."""
    if asked.changes and asked.in_place:
        record = use_cases.store.get(asked.table)
        columns = {"columns": asked.columns(record.dataset)}
        use_cases.change_dataset(asked.table, columns, record.version, actor)
    return asked.in_place


def alter(
    use_cases: UseCases, rebuilder: Rebuilder, asked: Altering, actor: str
) -> Iterator[LoadResult]:
    """To its end, whatever that takes; yields the batches of a rebuild.

    Raises: as `in_place` and `Rebuilder`.
    """
    if in_place(use_cases, asked, actor):
        return
    rebuilder.begin(asked.table, asked.changes, actor)
    yield from rebuilder.build(asked.table)
    rebuilder.swap(asked.table)
    use_cases.notify(asked.table)
