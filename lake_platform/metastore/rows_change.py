"""A change of a definition by which other rows are made of the records: held against the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lake_platform.code.pins import changed_code
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.fitness import check_against_schema
from lake_platform.domain.hints_fit import check_hints
from lake_platform.domain.schema import Struct
from lake_platform.domain.steps_change import check_steps_change
from lake_platform.metastore.repository import Repository

CheckSource = Callable[[Dataset, Struct, Struct | None], Sequence[str]]
"""Raises InvalidFieldError for SQL that can never work on records of this schema, for a rule over a
column that is not there, and for steps that give columns a table, where there is one, cannot take;
returns warnings, and how the table's columns change (adapters.spark.registration)."""


def check_rows(
    store: Repository, check_source: CheckSource, before: Dataset, after: Dataset
) -> Sequence[str]:
    """Says which code of steps changes, and how the columns of the table do.

    Raises: InvalidFieldError.
    """
    code = list(changed_code(before, after))
    schema = store.active_schema(after.table)
    if schema is None:
        return code
    check_hints(before, after, schema.source)
    check_against_schema(after, schema.source)
    if not rows_change(before, after):
        return code
    there = store.progress(after.table).applied_seq
    held = schema.columns if there and before.transforms != after.transforms else None
    told = check_source(after, schema.source, held)
    if held is not None and not after.transformed:
        told = [*told, *check_steps_change(after, held, schema.source)]
    return [*code, *told]


def rows_change(before: Dataset, after: Dataset) -> bool:
    """Whether what is made of the records, or asked of the rows, is something else."""
    names = ("transforms", "delete_when", "explode", "filtered", "rules", "ordering_field")
    return any(getattr(before, n) != getattr(after, n) for n in names)
