"""What casts of a dataset's steps made NULL of, by batch and column."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batches", sa.Column("lost_by_cast", sa.JSON(), nullable=True))
