"""Alembic's environment; the connection comes from `metastore.engine.upgrade`."""

from __future__ import annotations

from alembic import context

from lake_platform.metastore.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite cannot alter most things in place
)
context.run_migrations()
