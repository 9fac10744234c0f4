"""What every role of the service works with."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from celery import Celery
from sqlalchemy import Engine

from core import schema
from core.audit import Actor, AuditAction, AuditEvent, AuditKind
from core.broker import open_broker
from core.clock import utc_now
from core.database import DEFAULT_CONNECTIONS, Sessions, open_engine, open_sessions
from core.headers import quiet_pydicom
from core.settings import AuditSettings, CommonSettings
from core.study_store import StudyStore
from service.audit.trail import AuditTrail

SERVER_POLL_S = 0.2
"""How soon the stop signal, or a server's own end, is noticed."""


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


AUDIT_FALLBACK = "audit-waiting.jsonl"
"""In the data folder: audit events the database could not take."""


def open_audit(parts: Parts, settings: AuditSettings) -> AuditTrail:
    """Return the audit trail of an installation."""
    return AuditTrail(parts.sessions, utc_now, settings.source_id, parts.store.root / AUDIT_FALLBACK)


@contextmanager
def audited(parts: Parts, settings: AuditSettings, role: str) -> Iterator[AuditTrail]:
    """Give the audit trail to a role, and record that it starts and stops."""
    audit = open_audit(parts, settings)
    application = Actor(f"metserve {role}", socket.gethostname(), is_requestor=False, role="application")
    audit.record(AuditEvent(AuditKind.APPLICATION_START, AuditAction.EXECUTE, (application,)))
    try:
        yield audit
    finally:
        audit.record(AuditEvent(AuditKind.APPLICATION_STOP, AuditAction.EXECUTE, (application,)))
