"""What Kafka's retention leaves of a dataset: when it was looked at, and until when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("looked_at", "loss_at", "kept_ms"):
        op.add_column(
            "progress", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
        )
