"""Notice records: from "this study was not analysed" to an object that says so, one transaction each.

A notice never changes its job: the job is UNSUITABLE, whatever becomes of the notice.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import exists, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session, aliased

from core.database import JobRow, NoticeRow
from core.errors import LeaseLost
from core.job import MAX_ATTEMPTS
from core.job_records import ResultFile
from core.results import ResultKind

RETRY_PAUSE_S = 10.0
"""Pause before a failed notice is tried again; a restarted server is back by then."""

MAX_ERROR_LENGTH = 500
"""Characters of the last error that are kept."""


class NoticeState(StrEnum):
    """How far a notice got."""

    DUE = "due"
    MADE = "made"
    """Published; the outbox has not looked at it yet."""
    PLANNED = "planned"
    """Every destination that wants notices has its delivery."""
    OVERTAKEN = "overtaken"
    """A newer revision of the study exists: the notice would say what is no longer so."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class NoticeLease:
    """The right to make a job's notice; ``attempt`` counts from 1 and fences older attempts off."""

    job_id: str
    attempt: int


def require(session: Session, job_id: str, now: datetime) -> None:
    """Ask for the notice of a job that was just found unsuitable."""
    row = NoticeRow(job_id=job_id, state=NoticeState.DUE.value, next_ring_at=now, created_at=now)
    session.add(row)


def to_ring(session: Session, now: datetime, limit: int = 100) -> list[str]:
    """Return the jobs whose notice waits and whose message is due (again)."""
    statement = (
        select(NoticeRow.job_id)
        .where(NoticeRow.state == NoticeState.DUE, NoticeRow.next_ring_at <= now)
        .order_by(NoticeRow.next_ring_at)
        .limit(limit)
    )
    return list(session.scalars(statement))


def record_ring(session: Session, job_id: str, *, ring_again_after_s: float, now: datetime) -> None:
    """Put off the next message, by at least as long as the notice waits already.

    A message may be lost. But a worker that is away for days must not find a heap of messages.
    """
    row = session.scalars(select(NoticeRow).where(NoticeRow.job_id == job_id).with_for_update()).one()
    row.next_ring_at = now + max(timedelta(seconds=ring_again_after_s), now - row.created_at)


def claim(session: Session, job_id: str, *, lease_s: float, now: datetime) -> NoticeLease | None:
    """Take the notice of a job, or return None when there is none to make.

    The attempt is counted first: a study that kills its worker is counted too.
    """
    row = session.scalars(select(NoticeRow).where(NoticeRow.job_id == job_id).with_for_update()).one_or_none()
    if row is None or row.state != NoticeState.DUE or (row.not_before is not None and row.not_before > now):
        return None
    if is_overtaken(session, job_id):
        row.state = NoticeState.OVERTAKEN
        return None
    if row.attempts >= MAX_ATTEMPTS:
        _give_up(row, row.last_error or f"the notice ended its worker {row.attempts} times")
        return None
    row.attempts += 1
    row.not_before = row.next_ring_at = now + timedelta(seconds=lease_s)
    return NoticeLease(job_id, row.attempts)


def publish(session: Session, lease: NoticeLease, file: ResultFile, now: datetime) -> None:
    """Make an attempt's object THE notice of its job.

    Raises
    ------
    LeaseLost
        A newer attempt took the notice over; ``record_failure`` raises it too.
    """
    _write(session, lease, state=NoticeState.MADE, last_error="")
    job = session.get_one(JobRow, lease.job_id, with_for_update=True)
    job.results = {**job.results, ResultKind.NOTICE.value: asdict(file)}
    job.updated_at = now


def record_failure(
    session: Session, lease: NoticeLease, error: Exception, *, retry: bool, now: datetime
) -> bool:
    """Record a failed attempt: try again after a pause, or give the notice up.

    Returns
    -------
    bool
        True when the notice was given up.
    """
    message = f"{type(error).__name__}: {error}"[:MAX_ERROR_LENGTH]
    if not retry or lease.attempt >= MAX_ATTEMPTS:
        _write(session, lease, state=NoticeState.FAILED, last_error=message)
        return True
    again_at = now + timedelta(seconds=RETRY_PAUSE_S)
    _write(session, lease, last_error=message, not_before=again_at, next_ring_at=again_at)
    return False


def is_overtaken(session: Session, job_id: str) -> bool:
    """Tell whether a newer revision of the job's study exists."""
    newer = aliased(JobRow)
    is_newer = (newer.study_id == JobRow.study_id) & (newer.revision > JobRow.revision)
    return session.scalar(select(exists().where(JobRow.id == job_id, is_newer))) or False


def _give_up(row: NoticeRow, error: str) -> None:
    row.state = NoticeState.FAILED
    row.last_error = error


def _write(session: Session, lease: NoticeLease, **values: Any) -> None:
    still_held = (
        NoticeRow.job_id == lease.job_id,
        NoticeRow.state == NoticeState.DUE,
        NoticeRow.attempts == lease.attempt,
    )
    result = session.execute(update(NoticeRow).where(*still_held).values(**values))
    if not isinstance(result, CursorResult) or result.rowcount != 1:
        raise LeaseLost(
            f"attempt {lease.attempt} at the notice of job {lease.job_id} is no longer the newest"
        )
