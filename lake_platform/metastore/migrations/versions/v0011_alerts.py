"""Alerts and their deliveries; how often and since when a phase fails."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_OF_PROGRESS = ("failed_dumps", "failed_loads", "dump_failing_since", "load_failing_since")


def upgrade() -> None:
    for name in _OF_PROGRESS:
        op.add_column(
            "progress", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
        )
    # Nobody noted since when a phase fails; not before it last went through.
    for phase, through in (("dump", "dumped_at"), ("load", "loaded_at")):
        op.execute(
            f"UPDATE progress SET {phase}_failing_since = {through} + 1 "  # noqa: S608
            f"WHERE {phase}_error <> ''"
        )
    op.create_table(
        "alerts",
        sa.Column("key", sa.String(600), primary_key=True),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("table_name", sa.String(249), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("subject", "text", "remedy")),
        *_times("opened_at", "quiet_since", "closed_at"),
        sa.Column("told", sa.JSON(), nullable=False),
    )
    op.create_table(
        "alert_receivers",
        sa.Column("name", sa.String(60), primary_key=True),
        *_times("succeeded_at", "failing_since", "tries", "next_at"),
        sa.Column("error", sa.Text(), nullable=False),
    )
    op.create_table("beats", sa.Column("name", sa.String(60), primary_key=True), *_times("at"))


def _times(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]
