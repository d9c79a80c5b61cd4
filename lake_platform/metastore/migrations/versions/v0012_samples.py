"""Samples of throughput and lag, rescued values in the totals, where the time of a batch went."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "samples",
        sa.Column("table_name", sa.String(249), primary_key=True),
        sa.Column("slot", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("records_ingested", sa.BigInteger(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("lag_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["table_name"], ["datasets.table_name"]),
    )
    op.add_column("batches", sa.Column("seconds", sa.JSON(), nullable=True))
    op.add_column(
        "progress", sa.Column("rescued", sa.BigInteger(), nullable=False, server_default="0")
    )
    _add_up()


def _add_up() -> None:
    """The totals of batches that are there."""
    batches = sa.table(
        "batches", sa.column("table_name", sa.String), sa.column("counted", sa.Boolean),
        sa.column("rescued", sa.JSON),
    )  # fmt: skip
    progress = sa.table(
        "progress", sa.column("table_name", sa.String), sa.column("rescued", sa.BigInteger)
    )
    connection = op.get_bind()
    totals: dict[str, int] = {}
    query = sa.select(batches.c.table_name, batches.c.rescued).where(batches.c.counted)
    for table, rescued in connection.execute(query):
        totals[table] = totals.get(table, 0) + sum((rescued or {}).values())
    for table, total in totals.items():
        if total:
            change = progress.update().where(progress.c.table_name == table)
            connection.execute(change.values(rescued=total))
