"""The chain: each message holds the digest of the one before, so that none can change or go missing."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from core.audit import Actor, AuditAction, AuditEvent, AuditKind
from core.database import AuditRow

FIRST_DIGEST = "0" * 64
"""What the first message names as the digest before it."""

LOCK = 0x61756474
"""Key of PostgreSQL's advisory lock under which the chain grows ("audt"); SQLite locks the whole file."""

BATCH = 1000
"""Messages read at a time when the whole chain is."""

_CHECKPOINT = "old messages removed; the trail begins at {position} after {digest}"
_CHECKPOINT_PATTERN = re.compile(r"begins at (\d+) after ([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Entry:
    """A message on its way into the chain."""

    recorded_at: datetime
    kind: AuditKind
    outcome: int
    message: str


def append(session: Session, entry: Entry) -> None:
    """Add a message behind the newest; whoever else appends waits."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    newest = session.execute(
        select(AuditRow.id, AuditRow.digest).order_by(AuditRow.id.desc()).limit(1)
    ).one_or_none()
    position, before = (newest.id + 1, newest.digest) if newest else (1, FIRST_DIGEST)
    session.add(
        AuditRow(
            id=position,
            recorded_at=entry.recorded_at,
            kind=entry.kind.value,
            outcome=entry.outcome,
            message=entry.message,
            previous_digest=before,
            digest=digest_of(before, position, entry.message),
        )
    )
    session.flush()  # the next entry of this transaction follows this one


def digest_of(before: str, position: int, message: str) -> str:
    """Return the digest of a message at its place, hexadecimal."""
    return hashlib.sha256(f"{before}|{position}|{message}".encode()).hexdigest()


def verify(session: Session) -> int | None:
    """Return the position of the first message that was changed or follows a gap; None when all is whole.

    A trail whose beginning was removed is whole only if a later message of it says so (``prune``). One
    that was cut off at its end shows nothing here: compare with what the repository has.
    """
    beginning = session.scalars(select(AuditRow).order_by(AuditRow.id).limit(1)).one_or_none()
    if beginning is None:
        return None
    before, expected = beginning.previous_digest, beginning.id
    if (expected, before) != (1, FIRST_DIGEST) and (expected, before) not in _checkpoints(session):
        return expected
    rows = session.scalars(select(AuditRow).order_by(AuditRow.id).execution_options(yield_per=BATCH))
    for row in rows:
        follows = row.id == expected and row.previous_digest == before
        if not follows or row.digest != digest_of(before, row.id, row.message):
            return row.id
        before, expected = row.digest, row.id + 1
    return None


def removal(session: Session, before: datetime, *, only_sent: bool) -> tuple[int, AuditEvent] | None:
    """Return up to which position messages are older than a moment, and the event that tells of it.

    Parameters
    ----------
    only_sent
        A repository is configured: stop at the first message it does not have.

    Returns
    -------
    None
        Nothing is old enough; the newest message always stays.
    """
    keeps = AuditRow.recorded_at >= before
    if only_sent:
        keeps |= AuditRow.sent_at.is_(None)
    newest = session.scalar(select(func.max(AuditRow.id)))
    first_kept = session.scalar(select(func.min(AuditRow.id)).where(keeps)) or newest
    first = session.scalar(select(func.min(AuditRow.id)))
    if first_kept is None or first_kept == first:
        return None
    digest = session.scalar(select(AuditRow.previous_digest).where(AuditRow.id == first_kept))
    detail = _CHECKPOINT.format(position=first_kept, digest=digest)
    actors = (Actor("metserve", role="application"),)
    return first_kept, AuditEvent(AuditKind.AUDIT_LOG_USED, AuditAction.DELETE, actors, detail=detail)


def remove_before(session: Session, position: int) -> None:
    """Delete what stands before a position; call it after its event stands in the chain."""
    session.execute(delete(AuditRow).where(AuditRow.id < position))


def _checkpoints(session: Session) -> set[tuple[int, str]]:
    messages = session.scalars(select(AuditRow.message).where(AuditRow.kind == AuditKind.AUDIT_LOG_USED))
    found = (_CHECKPOINT_PATTERN.search(message) for message in messages)
    return {(int(match[1]), match[2]) for match in found if match}
