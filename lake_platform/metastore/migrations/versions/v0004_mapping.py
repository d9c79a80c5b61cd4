"""How the paths of records came to columns, with each schema version, and who made it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("mapped", "profile"):
        op.add_column("schema_versions", sa.Column(name, sa.JSON(), nullable=True))
    op.add_column(
        "schema_versions", sa.Column("actor", sa.Text(), nullable=False, server_default="")
    )
