"""Outbox: which published result goes to which destination, and how far it got.

A job in state ENCODED gets one delivery a destination; when the last of them is delivered the job is
DELIVERED. A delivery that is given up keeps its job ENCODED until somebody asks for another try.
A job that is UNSUITABLE gets deliveries once its notice is made, and stays UNSUITABLE.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from core.database import DeliveryRow, JobRow, NoticeRow
from core.errors import InvalidInput, LeaseLost
from core.job import JobState, check_transition
from core.notice_records import NoticeState, is_overtaken
from core.results import ResultKind
from service.delivery.canaries import is_canary

PLANNED_AT_ONCE = 100
"""Jobs that one round plans; a backlog is worked off in several rounds."""

MAX_ERROR_LENGTH = 500
"""Characters of the last error that are kept."""


class DeliveryState(StrEnum):
    """How far one result set got on its way to one destination."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Claim:
    """One attempt at one delivery; ``attempt`` counts from 1."""

    delivery_id: int
    job_id: str
    destination: str
    attempt: int
    created_at: datetime


def unplanned_jobs(session: Session, destinations: Collection[str]) -> list[str]:
    """Return ids of encoded jobs that lack a delivery to some destination, oldest first.

    Without destinations these are the encoded jobs that were never on their way to one.
    """
    statement = select(JobRow.id).where(JobRow.state == JobState.ENCODED, _lacks_delivery(destinations))
    return list(session.scalars(statement.order_by(JobRow.created_at).limit(PLANNED_AT_ONCE)))


def plan_job(session: Session, job_id: str, destinations: Collection[str], now: datetime) -> None:
    """Give a job one pending delivery a destination, a canary none; planning it again changes nothing."""
    job = session.get_one(JobRow, job_id, with_for_update=True)
    if job.state != JobState.ENCODED:
        return
    planned = {delivery.destination for delivery in job.deliveries}
    for destination in () if is_canary(job.study) else destinations:
        if destination not in planned:
            job.deliveries.append(_new_delivery(destination, now))
    _finish_when_delivered(job, now)


def unplanned_notices(session: Session) -> list[str]:
    """Return ids of the jobs whose notice is made and not yet on its way, oldest first."""
    statement = select(NoticeRow.job_id).where(NoticeRow.state == NoticeState.MADE)
    return list(session.scalars(statement.order_by(NoticeRow.id).limit(PLANNED_AT_ONCE)))


def plan_notice(session: Session, job_id: str, destinations: Collection[str], now: datetime) -> None:
    """Give a notice one pending delivery a destination that wants notices; there may be none."""
    job = session.get_one(JobRow, job_id, with_for_update=True)
    if job.notice is None or job.notice.state != NoticeState.MADE:
        return
    if is_overtaken(session, job_id):  # since the notice was made
        job.notice.state = NoticeState.OVERTAKEN
        return
    planned = {delivery.destination for delivery in job.deliveries}
    wanted = () if is_canary(job.study) else destinations
    job.deliveries.extend(_new_delivery(name, now) for name in wanted if name not in planned)
    job.notice.state = NoticeState.PLANNED


def unconfigured_deliveries(session: Session, destinations: Collection[str]) -> list[DeliveryRow]:
    """Return what waits for a destination that the settings no longer name."""
    statement = select(DeliveryRow).where(
        DeliveryRow.state == DeliveryState.PENDING, DeliveryRow.destination.not_in(destinations)
    )
    return list(session.scalars(statement))


def give_up_unconfigured(delivery: DeliveryRow) -> None:
    """Give up a delivery nobody is there to make."""
    delivery.state = DeliveryState.GIVEN_UP
    delivery.last_error = f"destination {delivery.destination!r} is no longer configured"


def due_deliveries(session: Session, destination: str, now: datetime, limit: int) -> list[int]:
    """Return ids of the deliveries to one destination whose time has come, longest waiting first."""
    statement = (
        select(DeliveryRow.id)
        .where(
            DeliveryRow.destination == destination,
            DeliveryRow.state == DeliveryState.PENDING,
            DeliveryRow.next_try_at <= now,
        )
        .order_by(DeliveryRow.next_try_at, DeliveryRow.id)
        .limit(limit)
    )
    return list(session.scalars(statement))


def size_of(session: Session, delivery_id: int) -> int:
    """Return the size of all the files a delivery's job published, in bytes."""
    job = session.get_one(DeliveryRow, delivery_id).job
    return sum(int(file.get("size_bytes", 0)) for file in job.results.values())


def claim(session: Session, delivery_id: int, *, now: datetime, held_until: datetime) -> Claim | None:
    """Take one attempt at a due delivery, or return None when somebody else has it.

    The attempt is counted, and the next one put off, before anything is sent: a sender that dies in
    the middle loses nothing, and two senders do not push the same result at the same moment.
    """
    result = session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.id == delivery_id,
            DeliveryRow.state == DeliveryState.PENDING,
            DeliveryRow.next_try_at <= now,
        )
        .values(attempts=DeliveryRow.attempts + 1, next_try_at=held_until)
    )
    if not isinstance(result, CursorResult) or result.rowcount != 1:
        return None
    row = session.get_one(DeliveryRow, delivery_id)
    return Claim(row.id, row.job_id, row.destination, row.attempts, row.created_at)


def record_delivered(session: Session, taken: Claim, now: datetime, remark: str = "") -> None:
    """Record that the peer has everything; the job is DELIVERED with its last delivery.

    Parameters
    ----------
    remark
        What it has in another form than was meant.

    Raises
    ------
    LeaseLost
        A newer attempt took the delivery over; so do the other ``record_`` functions.
    """
    job = session.get_one(JobRow, taken.job_id, with_for_update=True)
    _record(
        session,
        taken,
        state=DeliveryState.DELIVERED,
        delivered_at=now,
        last_error="",
        remark=remark[:MAX_ERROR_LENGTH],
    )
    _finish_when_delivered(job, now)


def record_postponed(session: Session, taken: Claim, error: str, next_try_at: datetime) -> None:
    """Record a failed attempt that is repeated later."""
    _record(session, taken, last_error=error[:MAX_ERROR_LENGTH], next_try_at=next_try_at)


def record_given_up(session: Session, taken: Claim, error: str) -> None:
    """Record that there is no use in trying again unless a person says so."""
    _record(session, taken, state=DeliveryState.GIVEN_UP, last_error=error[:MAX_ERROR_LENGTH])


def hold_back(session: Session, destination: str, until: datetime) -> None:
    """Let everything for a peer that cannot be reached wait: one failed attempt speaks for all."""
    session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.destination == destination,
            DeliveryRow.state == DeliveryState.PENDING,
            DeliveryRow.next_try_at < until,
        )
        .values(next_try_at=until)
    )


def redeliver(
    session: Session, job_id: str, destination: str, *, destinations: Collection[str], now: datetime
) -> DeliveryRow:
    """Send a job's results to a destination (again), whatever became of it before.

    The delivery starts anew: attempts and retry time count from ``now``. Sending twice is safe, the
    objects keep their UIDs.

    Raises
    ------
    InvalidInput
        The destination is not configured, or the job has no results.
    """
    if destination not in destinations:
        known = ", ".join(sorted(destinations)) or "none"
        raise InvalidInput(f"destination {destination!r} is not configured; configured: {known}")
    job = session.get_one(JobRow, job_id, with_for_update=True)
    if job.state not in {JobState.ENCODED, JobState.DELIVERED} and ResultKind.NOTICE not in job.results:
        raise InvalidInput(
            f"the job is {job.state}, only an encoded or delivered one, or one with a notice, "
            "has something to send"
        )
    delivery = next((row for row in job.deliveries if row.destination == destination), None)
    if delivery is None:
        delivery = _new_delivery(destination, now)
        job.deliveries.append(delivery)
    _restart(delivery, now)
    session.flush()
    return delivery


def reopen(delivery: DeliveryRow, error: str, now: datetime, *, give_up: bool) -> None:
    """Send a delivery again that the peer stored and did not commit to keep, or give it up."""
    delivery.state = DeliveryState.GIVEN_UP if give_up else DeliveryState.PENDING
    delivery.attempts = 0
    delivery.last_error = error[:MAX_ERROR_LENGTH]
    delivery.delivered_at = None
    delivery.created_at = delivery.next_try_at = now


def restart_given_up(session: Session, destination: str, now: datetime) -> int:
    """Try everything again that was given up on the way to a destination; return how much that is."""
    given_up = (DeliveryRow.destination == destination, DeliveryRow.state == DeliveryState.GIVEN_UP)
    rows = list(session.scalars(select(DeliveryRow).where(*given_up).with_for_update()))
    for row in rows:
        _restart(row, now)
    return len(rows)


def _record(session: Session, taken: Claim, **values: object) -> None:
    """Write what became of an attempt, unless the delivery was claimed, ended or started anew since.

    Attempts count from 1 again in a delivery that was started anew; its creation tells it apart.
    """
    is_still_taken = (
        DeliveryRow.id == taken.delivery_id,
        DeliveryRow.state == DeliveryState.PENDING,
        DeliveryRow.attempts == taken.attempt,
        DeliveryRow.created_at == taken.created_at,
    )
    result = session.execute(update(DeliveryRow).where(*is_still_taken).values(**values))
    if not isinstance(result, CursorResult) or result.rowcount != 1:
        raise LeaseLost(f"attempt {taken.attempt} at delivery {taken.delivery_id} is no longer the newest")


def _lacks_delivery(destinations: Collection[str]) -> ColumnElement[bool]:
    if not destinations:
        return ~JobRow.deliveries.any()
    planned = (
        select(func.count())
        .where(DeliveryRow.job_id == JobRow.id, DeliveryRow.destination.in_(destinations))
        .scalar_subquery()
    )
    return planned < len(destinations)


def _new_delivery(destination: str, now: datetime) -> DeliveryRow:
    return DeliveryRow(
        destination=destination,
        state=DeliveryState.PENDING.value,
        attempts=0,
        next_try_at=now,
        last_error="",
        remark="",
        created_at=now,
    )


def _restart(delivery: DeliveryRow, now: datetime) -> None:
    delivery.state = DeliveryState.PENDING
    delivery.attempts = 0
    delivery.last_error = delivery.remark = ""
    delivery.created_at = delivery.next_try_at = now
    delivery.delivered_at = delivery.committed_at = delivery.alerted_at = None


def _finish_when_delivered(job: JobRow, now: datetime) -> None:
    if job.state != JobState.ENCODED:
        return
    if all(delivery.state == DeliveryState.DELIVERED for delivery in job.deliveries):
        check_transition(JobState(job.state), JobState.DELIVERED)
        job.state = JobState.DELIVERED
        job.updated_at = now
