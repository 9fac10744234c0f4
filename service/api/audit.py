"""The audit trail over REST, for administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BeforeValidator

from core.audit import AuditKind
from core.database import AuditRow
from service.api.asker import AskerOf
from service.api.models import Model, Reply
from service.api.parts import PartsOf
from service.api.paths import DEFAULT_PAGE, Limit, StudyUidQuery
from service.audit.reading import TrailFilter, looked_into, read

LARGEST_POSITION = 2**31 - 1
"""The largest integer of the column."""


def _as_text(value: object) -> object:
    """Refuse seconds since 1970: a moment is asked for as RFC 3339 writes it."""
    if isinstance(value, str) and ":" not in value:
        raise ValueError("expected a moment as in 2026-11-24T06:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_as_text)]

router = APIRouter(prefix="/audit", tags=["audit"])

After = Annotated[
    int, Query(ge=0, le=LARGEST_POSITION, description="Only messages behind this position: `next_after`.")
]


class AuditMessage(Model):
    """One message of the trail."""

    position: int
    recorded_at: AwareDatetime
    kind: str
    outcome: int
    """EventOutcomeIndicator: 0, 4, 8 or 12."""
    message: str
    """XML of DICOM PS3.15 A.5.1."""
    previous_digest: str
    digest: str
    sent_at: AwareDatetime | None
    """When the audit record repository had it."""


class AuditPage(Reply):
    """A page of the trail, oldest message first."""

    messages: tuple[AuditMessage, ...]
    next_after: int | None
    """What to ask for next as ``after``; null: this was the last page."""


@router.get("", summary="Look into the audit trail, oldest message first")
def list_audit_messages(
    parts: PartsOf,
    asker: AskerOf,
    study_instance_uid: StudyUidQuery,
    after: After = 0,
    kind: AuditKind | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    limit: Limit = DEFAULT_PAGE,
) -> AuditPage:
    """List messages by kind, time or study; that somebody looked is a message of its own."""
    wanted = TrailFilter(after, kind, since, until, study_instance_uid)
    with parts.read_sessions() as session:
        rows = list(read(session, wanted, limit + 1))
    parts.audit.record(looked_into(asker.actor, f"REST: after {after}, at most {limit} messages"))
    return AuditPage(
        messages=tuple(_shown(row) for row in rows[:limit]),
        next_after=rows[limit - 1].id if len(rows) > limit else None,
    )


def _shown(row: AuditRow) -> AuditMessage:
    return AuditMessage(
        position=row.id,
        recorded_at=row.recorded_at,
        kind=row.kind,
        outcome=row.outcome,
        message=row.message,
        previous_digest=row.previous_digest,
        digest=row.digest,
        sent_at=row.sent_at,
    )
