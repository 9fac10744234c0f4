"""Unheard jobs: those no worker knows of, or whose worker died; the broker may lose every message."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql.elements import ColumnElement

from core.database import JobRow
from core.job import RUNNING_STAGE, STAGES, WAITING_FOR_STAGE, StageStates

LONGEST_PAUSE = 16
"""Times ``requeue_after_s``; the pause between two announcements of a waiting job doubles up to this:
each is as long as the job had waited at the last announcement. Without it a backlog whose workers do not keep
up with its own announcements would grow for ever."""


def due_jobs(session: Session, *, now: datetime, requeue_after_s: float, limit: int = 100) -> list[JobRow]:
    """Return jobs whose message must be (re)sent: never sent, lost, or their worker died.

    Parameters
    ----------
    now
        Aware time.
    requeue_after_s
        A message counts as lost no earlier than this after it was sent, in seconds.
    limit
        Most jobs to return, the oldest first.
    """
    long_ago = now - timedelta(seconds=requeue_after_s)
    not_sent = JobRow.enqueued_at.is_(None)
    worker_died = JobRow.state.in_(list(RUNNING_STAGE)) & (JobRow.lease_until < now)
    rung_before = not_sent | (JobRow.enqueued_at <= JobRow.lease_until) | (JobRow.enqueued_at < long_ago)
    statement = (
        select(JobRow.id, JobRow.state, JobRow.enqueued_at, JobRow.updated_at)
        .where(
            or_(
                JobRow.state.in_(list(WAITING_FOR_STAGE)) & not_sent,
                *(_message_is_lost(states, now, long_ago) for states in STAGES.values()),
                worker_died & rung_before,
            )
        )
        .where(JobRow.not_before.is_(None) | (JobRow.not_before <= now))
        .order_by(JobRow.created_at)
    )
    longest = timedelta(seconds=requeue_after_s) * LONGEST_PAUSE
    due = [
        job_id
        for job_id, state, enqueued_at, updated_at in session.execute(statement).all()
        if state not in WAITING_FOR_STAGE
        or enqueued_at is None
        or now >= enqueued_at + min(enqueued_at - updated_at, longest)  # it waits since updated_at
    ]
    found = select(JobRow).where(JobRow.id.in_(due[:limit])).order_by(JobRow.created_at)
    return list(session.scalars(found))


def _message_is_lost(stage: StageStates, now: datetime, long_ago: datetime) -> ColumnElement[bool]:
    """Tell jobs announced long ago from a mere backlog, whose messages are still there.

    Redis hands a lane's messages out in order: a job's is lost when a job announced later is being worked on,
    or when no worker has been busy with the stage since. Message files come in any order; a job rung
    once too often there costs a query.
    """
    other = aliased(JobRow)
    is_running = (other.state == stage.running) & (other.lease_until >= now)
    has_ended = (other.state == stage.done) & (other.updated_at >= long_ago)
    following = WAITING_FOR_STAGE.get(stage.done)
    if following is not None:  # the next stage's worker may take the job at once
        has_ended |= (other.state == STAGES[following].running) & (other.enqueued_at >= long_ago)
    is_overtaken = exists().where(
        is_running, other.lane == JobRow.lane, other.enqueued_at > JobRow.enqueued_at
    )
    return (
        (JobRow.state == stage.waiting)
        & (JobRow.enqueued_at < long_ago)
        & (is_overtaken | ~exists().where(is_running | has_ended))
    )
