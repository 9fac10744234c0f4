"""Connections and transactions: SQLite in WAL mode when embedded, PostgreSQL by a setting."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.orm import Session, sessionmaker

READ_ONLY = "metserve_read_only"
"""Execution option of an engine whose transactions only read."""

SQLITE_BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for another; receivers, workers and REST share the file."""


DEFAULT_CONNECTIONS = 5
"""Connections a process keeps; under a rush it opens ten more, for as long as they are needed."""

Sessions = sessionmaker[Session]
"""A factory of sessions; ``with sessions.begin() as session`` is one transaction."""


def open_engine(url: str, *, connections: int = DEFAULT_CONNECTIONS) -> Engine:
    """Connect to the database a URL names.

    SQLite runs in WAL mode with full synchronisation (an acknowledged instance survives a power
    cut), and writers take the lock at once instead of failing half way. Error messages leave the
    parameters out: they hold patient data, and error messages are logged.

    Parameters
    ----------
    connections
        Kept open for reuse: as many as there are threads that work with the database at once.
        SQLite's writers queue for the file itself, each on a connection of its own.
    """
    engine = create_engine(url, pool_size=connections, pool_pre_ping=True, hide_parameters=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite_connection)
        event.listen(engine, "begin", _begin)
    return engine


def _prepare_sqlite_connection(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy emits BEGIN itself, below
    for pragma in (
        f"busy_timeout={SQLITE_BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def open_sessions(engine: Engine, *, read_only: bool = False) -> Sessions:
    """Return the factory of transactions on an engine.

    Parameters
    ----------
    engine
        From ``open_engine``.
    read_only
        Transactions that only read never wait for a writer (SQLite).
    """
    bind = engine.execution_options(**{READ_ONLY: True}) if read_only else engine
    return sessionmaker(bind, expire_on_commit=False)
