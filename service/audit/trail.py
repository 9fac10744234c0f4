"""The audit trail: an append-only chain in the database, and a file for what the database could not take."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from prometheus_client import Counter
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from core.audit import AuditEvent, AuditKind
from core.clock import Clock
from core.database import AuditRow, Sessions
from core.logs import logger
from service.audit.messages import message_of

FIRST_DIGEST = "0" * 64
"""What the first message names as the digest before it."""

CHAIN_LOCK = 0x61756474
"""Key of PostgreSQL's advisory lock under which the chain grows ("audt"); SQLite locks the whole file."""

EVENTS = Counter("metserve_audit_events", "Audit events, by kind.", ["kind"])
FAILURES = Counter("metserve_audit_failures", "Audit events the database did not take at once.")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A message on its way into the chain."""

    recorded_at: datetime
    kind: str
    outcome: int
    message: str


@dataclass(frozen=True, slots=True)
class AuditTrail:
    """Keeps events; any number of processes may.

    Parameters
    ----------
    fallback
        File for what the database could not take; it is taken up by ``catch_up``.
    """

    sessions: Sessions
    clock: Clock
    source_id: str
    fallback: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, event: AuditEvent) -> None:
        """Keep an event; never raises."""
        try:
            now = self.clock()
            message = message_of(event, source_id=self.source_id, at=now)
            self._keep(_Entry(now, event.kind.value, int(event.outcome), message))
            EVENTS.labels(event.kind.value).inc()
        except Exception as error:  # noqa: BLE001 - who is audited must not fail for it
            FAILURES.inc()
            logger().error("an audit event is lost", kind=event.kind.value, error=type(error).__name__)

    def catch_up(self) -> int:
        """Take what the fallback file holds into the chain; return how many messages that were."""
        with self._lock:
            waiting = self.fallback.with_suffix(".taken")
            if not waiting.exists():
                if not self.fallback.exists():
                    return 0
                os.replace(self.fallback, waiting)  # noqa: PTH105 - the atomic rename is meant
            entries = [_entry_of(line) for line in waiting.read_text(encoding="utf-8").splitlines()]
            with self.sessions.begin() as session:
                for entry in entries:
                    _append(session, entry)
            waiting.unlink()
        return len(entries)

    def _keep(self, entry: _Entry) -> None:
        try:
            with self.sessions.begin() as session:
                _append(session, entry)
        except SQLAlchemyError as error:
            FAILURES.inc()
            logger().error("an audit event waits in a file", kind=entry.kind, error=type(error).__name__)
            self._set_aside(entry)

    def _set_aside(self, entry: _Entry) -> None:
        line = json.dumps([entry.recorded_at.isoformat(), entry.kind, entry.outcome, entry.message])
        with self._lock:
            descriptor = os.open(self.fallback, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, line.encode() + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def verify(session: Session) -> int | None:
    """Return the position of the first message that was changed or follows a gap; None when all is whole.

    A trail cut off at its end shows nothing here: compare with what the repository has.
    """
    before, expected = FIRST_DIGEST, 1
    for row in session.scalars(select(AuditRow).order_by(AuditRow.id).execution_options(yield_per=1000)):
        whole = row.id == expected and row.previous_digest == before
        if not whole or row.digest != _digest(before, row.id, row.message):
            return row.id
        before, expected = row.digest, row.id + 1
    return None


def _append(session: Session, entry: _Entry) -> None:
    """Add a message behind the newest; whoever else appends waits."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": CHAIN_LOCK})
    newest = session.execute(
        select(AuditRow.id, AuditRow.digest).order_by(AuditRow.id.desc()).limit(1)
    ).one_or_none()
    position, before = (newest.id + 1, newest.digest) if newest else (1, FIRST_DIGEST)
    session.add(
        AuditRow(
            id=position,
            recorded_at=entry.recorded_at,
            kind=AuditKind(entry.kind).value,
            outcome=entry.outcome,
            message=entry.message,
            previous_digest=before,
            digest=_digest(before, position, entry.message),
        )
    )


def _digest(before: str, position: int, message: str) -> str:
    return hashlib.sha256(f"{before}|{position}|{message}".encode()).hexdigest()


def _entry_of(line: str) -> _Entry:
    recorded_at, kind, outcome, message = json.loads(line)
    return _Entry(datetime.fromisoformat(recorded_at), kind, outcome, message)
