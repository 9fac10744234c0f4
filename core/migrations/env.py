"""Alembic environment: runs on the connection core.schema hands over."""

from __future__ import annotations

from alembic import context

from core.database import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
    transactional_ddl=True,
)
context.run_migrations()
