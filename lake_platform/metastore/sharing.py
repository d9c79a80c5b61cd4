"""Datasets that read the raw of another one: who may, and whom that one cannot do without."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from lake_platform.domain.dataset import Dataset, Status
from lake_platform.errors import InvalidFieldError
from lake_platform.metastore.model import parse_dataset
from lake_platform.metastore.tables import DatasetRow


def check_owner(session: Session, dataset: Dataset, *, lock: bool = True) -> None:
    """Whether the raw of `dataset.raw_from` may be read; `lock`: and goes on to be.

    Raises: InvalidFieldError.
    """
    name = dataset.raw_from
    query = select(DatasetRow).where(DatasetRow.table_name == name, DatasetRow.rebuild_of.is_(None))
    row = session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise InvalidFieldError(
            "raw_from", name, "is not registered", "`lake datasets list --retired` shows all"
        )
    owner = parse_dataset(row.definition)
    if owner.topic != dataset.topic:
        raise InvalidFieldError(
            "raw_from", name, f"reads topic {owner.topic}, not {dataset.topic}",
            f"name a dataset of topic {dataset.topic}, or leave it out",
        )  # fmt: skip
    if owner.value_format != dataset.value_format:
        raise InvalidFieldError(
            "value_format", dataset.value_format,
            f"is not that of {name}, whose raw is read", f"give {owner.value_format}",
        )  # fmt: skip
    if owner.raw_from:
        raise InvalidFieldError(
            "raw_from", name, f"has no raw of its own: it reads that of {owner.raw_from}",
            f"give raw_from={owner.raw_from}",
        )  # fmt: skip
    if row.status == Status.RETIRED:
        raise InvalidFieldError(
            "raw_from", name, "is retired, so nothing is dumped for it",
            f"take it back first: lake datasets unretire {name}",
        )  # fmt: skip


def check_no_readers(session: Session, table: str) -> None:
    """Raises: InvalidFieldError while somebody reads the raw of `table`."""
    readers = living_readers(session, table)
    if readers:
        names = ", ".join(readers)
        raise InvalidFieldError(
            "table", table, f"its raw is read by {names}, for which it dumps topic and raw",
            f"retire {'that' if len(readers) == 1 else 'those'} first: lake datasets retire "
            f"{readers[0]}",
        )  # fmt: skip


def living_readers(session: Session, table: str) -> list[str]:
    """By name; those that are retired read nothing."""
    query = (
        select(DatasetRow.table_name)
        .where(
            DatasetRow.raw_from == table,
            DatasetRow.rebuild_of.is_(None),
            DatasetRow.status != Status.RETIRED,
        )
        .order_by(DatasetRow.table_name)
    )
    return list(session.scalars(query))
