"""The first window of a dataset's raw."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_EARLIEST_MS = 1_577_836_800_000  # 2020-01-01: nobody noted where these begin


def upgrade() -> None:
    op.add_column(
        "progress", sa.Column("begins_at", sa.BigInteger(), nullable=False, server_default="0")
    )
    progress = sa.table("progress", sa.column("head_seq"), sa.column("begins_at", sa.BigInteger))
    dumped = progress.update().where(progress.c.head_seq > 0)
    op.get_bind().execute(dumped.values(begins_at=_EARLIEST_MS))
