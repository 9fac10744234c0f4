"""Looking into the audit trail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from core.audit import Actor, AuditAction, AuditEvent, AuditKind
from core.database import AuditRow

BATCH = 500
"""Messages read at a time."""


@dataclass(frozen=True, slots=True)
class TrailFilter:
    """Which messages are asked for; what is None does not restrict.

    Parameters
    ----------
    after
        Only messages behind this position.
    since, until
        Recorded at or after, and before.
    study_instance_uid
        Only messages about this study. Digits and dots: it is looked for in the messages' text.
    """

    after: int = 0
    kind: AuditKind | None = None
    since: datetime | None = None
    until: datetime | None = None
    study_instance_uid: str | None = None


def read(session: Session, wanted: TrailFilter, limit: int | None = None) -> Iterator[AuditRow]:
    """Yield messages, oldest first."""
    statement = _matching(wanted).order_by(AuditRow.id).limit(limit)
    yield from session.scalars(statement.execution_options(yield_per=BATCH))


def looked_into(actor: Actor, how: str) -> AuditEvent:
    """Return the event that somebody looked into the trail (PS3.15 A.5.3.2)."""
    return AuditEvent(AuditKind.AUDIT_LOG_USED, AuditAction.READ, (actor,), detail=how)


def _matching(wanted: TrailFilter) -> Select[AuditRow]:
    statement = select(AuditRow).where(AuditRow.id > wanted.after)
    if wanted.kind is not None:
        statement = statement.where(AuditRow.kind == wanted.kind.value)
    if wanted.since is not None:
        statement = statement.where(AuditRow.recorded_at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(AuditRow.recorded_at < wanted.until)
    if wanted.study_instance_uid is not None:
        attribute = f'ParticipantObjectID="{wanted.study_instance_uid}"'
        statement = statement.where(AuditRow.message.contains(attribute, autoescape=True))
    return statement
