"""Datasets made of the raw of another one, and which part of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("datasets", sa.Column("raw_from", sa.String(249), nullable=True))
    for name in ("raw_after", "raw_until"):
        op.add_column(
            "datasets", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
        )
    op.add_column("datasets", sa.Column("continued_in", sa.String(249), nullable=True))
    op.create_index("readers_of_raw", "datasets", ["raw_from"])
