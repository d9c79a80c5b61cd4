"""The last error of each phase, deletes that wait in quarantine, and incidents of more kinds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TEXTS = ("dump_error", "dump_error_kind", "load_error", "load_error_kind")


def upgrade() -> None:
    for name in _TEXTS:
        op.add_column("progress", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    for name in ("load_failures", "quarantined_deletes"):
        op.add_column(
            "progress", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
        )
    # What stood there was always of a load.
    op.execute("UPDATE progress SET load_error = last_error")
    op.drop_column("progress", "last_error")
    op.add_column(
        "incidents", sa.Column("kind", sa.Text(), nullable=False, server_default="schema")
    )
    op.add_column("incidents", sa.Column("reason", sa.Text(), nullable=False, server_default=""))
