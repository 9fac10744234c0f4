"""The audit trail: an append-only chain in the database, and a file for what the database could not take."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from prometheus_client import Counter
from sqlalchemy.exc import SQLAlchemyError

from core.audit import AuditEvent
from core.clock import Clock
from core.database import Sessions
from core.logs import logger
from service.audit import chain
from service.audit.chain import Entry
from service.audit.fallback import FallbackFile
from service.audit.messages import message_of

EVENTS = Counter("metserve_audit_events", "Audit events, by kind.", ["kind"])
FAILURES = Counter("metserve_audit_failures", "Audit events the database did not take at once.")


class AuditTrail:
    """Keeps events; any number of threads and processes may.

    Record outside of a transaction that writes: the trail has one of its own, and SQLite one writer.

    Parameters
    ----------
    source_id
        AuditSourceID of the messages.
    fallback
        File for what the database could not take; it goes into the chain with the next event.
    """

    def __init__(self, sessions: Sessions, clock: Clock, source_id: str, fallback: Path) -> None:
        self._sessions = sessions
        self._clock = clock
        self._source_id = source_id
        self._fallback = FallbackFile(fallback)

    def record(self, event: AuditEvent) -> None:
        """Keep an event; never raises."""
        try:
            self._keep(self._entry(event))
            EVENTS.labels(event.kind.value).inc()
        except Exception as error:  # noqa: BLE001 - who is audited must not fail for it
            FAILURES.inc()
            logger().error("an audit event is lost", kind=event.kind.value, error=type(error).__name__)

    def catch_up(self) -> int:
        """Take what waits in the file into the chain; return how many messages that were.

        Raises
        ------
        SQLAlchemyError
            The database takes nothing; they go on waiting.
        """
        return self._fallback.hand_over(self._append)

    def prune(self, keep: timedelta, *, only_sent: bool) -> int:
        """Remove messages that are older, and say so in the chain; return where it begins now, or 0.

        Parameters
        ----------
        only_sent
            A repository is configured: keep what it does not have.
        """
        with self._sessions.begin() as session:
            due = chain.removal(session, self._clock() - keep, only_sent=only_sent)
            if due is None:
                return 0
            position, event = due
            chain.append(session, self._entry(event))
            chain.remove_before(session, position)
        return position

    def _entry(self, event: AuditEvent) -> Entry:
        now = self._clock()
        message = message_of(event, source_id=self._source_id, at=now)
        return Entry(now, event.kind, int(event.outcome), message)

    def _keep(self, entry: Entry) -> None:
        try:
            self.catch_up()
            self._append([entry])
        except SQLAlchemyError as error:
            FAILURES.inc()
            logger().error(
                "an audit event waits in a file", kind=entry.kind.value, error=type(error).__name__
            )
            self._fallback.keep(entry)

    def _append(self, entries: Sequence[Entry]) -> None:
        with self._sessions.begin() as session:
            for entry in entries:
                chain.append(session, entry)
