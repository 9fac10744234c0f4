"""What every role of the service works with."""

from __future__ import annotations

from dataclasses import dataclass

from celery import Celery
from sqlalchemy import Engine

from core import schema
from core.audit import AuditEvent
from core.broker import open_broker
from core.database import DEFAULT_CONNECTIONS, Sessions, open_engine, open_sessions
from core.headers import quiet_pydicom
from core.settings import CommonSettings
from core.study_store import StudyStore

SERVER_POLL_S = 0.2
"""How soon the stop signal, or a server's own end, is noticed."""


class NoAudit:
    """Keeps nothing."""

    def record(self, event: AuditEvent) -> None:
        """Keep nothing."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What every role of the service works with."""

    store: StudyStore
    engine: Engine
    sessions: Sessions
    read_sessions: Sessions
    broker: Celery


def open_parts(common: CommonSettings, *, connections: int = DEFAULT_CONNECTIONS) -> Parts:
    """Open store, database (brought to the present schema) and broker."""
    quiet_pydicom()
    store = StudyStore(common.data_dir)
    engine = open_engine(common.resolved_database_url, connections=connections)
    schema.upgrade(engine)
    return Parts(
        store=store,
        engine=engine,
        sessions=open_sessions(engine),
        read_sessions=open_sessions(engine, read_only=True),
        broker=open_broker(common),
    )
