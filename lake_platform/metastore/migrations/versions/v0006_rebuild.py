"""What a rebuild loads has a row of its own among the datasets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("datasets", sa.Column("rebuild_of", sa.String(249), nullable=True))
    op.add_column("datasets", sa.Column("rebuild", sa.JSON(), nullable=True))
    op.create_index("one_rebuild_at_a_time", "datasets", ["rebuild_of"], unique=True)
