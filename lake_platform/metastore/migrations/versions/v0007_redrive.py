"""What each batch rescued, replays that are not at their end, and where a dataset was retired."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batches", sa.Column("rescued", sa.JSON(), nullable=True))
    op.add_column("progress", sa.Column("replaying", sa.Text(), nullable=False, server_default=""))
    op.add_column("datasets", sa.Column("retired_from", sa.String(20), nullable=True))
