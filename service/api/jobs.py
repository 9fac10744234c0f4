"""Jobs: where each stands, replay of parked ones, another try at a delivery."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import Select, func, select
from sqlalchemy.orm import joinedload

from core.database import JobRow, StudyRow
from core.errors import InvalidInput
from core.job import JobState, Outcome
from core.job_records import replay
from service.access.principal import Principal
from service.access.visibility import is_visible
from service.api.asker import AskerOf, audited
from service.api.models import Delivery, JobPage, JobReply
from service.api.parts import PartsOf
from service.api.paths import (
    DEFAULT_PAGE,
    DestinationName,
    JobId,
    Limit,
    Offset,
    StudyUidQuery,
    find_job,
)
from service.api.problems import ApiError, problem_responses
from service.api.replies import delivery, job_reply, job_summary
from service.delivery.outbox import redeliver

router = APIRouter(prefix="/jobs", tags=["jobs"])


@router.get("", summary="List jobs, newest first")
def list_jobs(
    parts: PartsOf,
    asker: AskerOf,
    study_instance_uid: StudyUidQuery,
    state: Annotated[Sequence[JobState], Query(description="One state or several.")] = (),
    outcome: Outcome | None = None,
    limit: Limit = DEFAULT_PAGE,
    offset: Offset = 0,
) -> JobPage:
    """List jobs by state, outcome or study."""
    matching = _matching(state, outcome, study_instance_uid, asker.principal)
    with parts.read_sessions() as session:
        total = session.scalar(select(func.count()).select_from(matching.subquery())) or 0
        newest_first = matching.order_by(JobRow.created_at.desc(), JobRow.id).limit(limit).offset(offset)
        jobs = session.scalars(newest_first.options(joinedload(JobRow.study)))
        page = JobPage(total=total, limit=limit, offset=offset, jobs=tuple(job_summary(job) for job in jobs))
    asker.searched(f"jobs: {_keys(state, outcome, study_instance_uid)}")
    return page


@router.get(
    "/{job_id}",
    summary="One job: state, outcome and why, progress, deliveries",
    responses=problem_responses(HTTPStatus.NOT_FOUND),
)
def get_job(parts: PartsOf, asker: AskerOf, job_id: JobId) -> JobReply:
    """Show everything about a job but its findings."""
    with parts.read_sessions() as session:
        job = find_job(session, job_id, asker.principal)
        reply, study = job_reply(job), audited(job.study)
    asker.read(study)
    return reply


@router.post(
    "/{job_id}/replay",
    summary="Try a parked job again",
    status_code=HTTPStatus.ACCEPTED,
    responses=problem_responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
)
def replay_job(parts: PartsOf, asker: AskerOf, job_id: JobId) -> JobReply:
    """Put a parked job back on the queue, from its first stage."""
    with parts.sessions.begin() as session:
        study = audited(find_job(session, job_id, asker.principal).study)
        try:
            reply = job_reply(replay(session, job_id, parts.clock()))
        except InvalidInput as error:
            raise ApiError(HTTPStatus.CONFLICT, str(error)) from error
    asker.ordered(study, f"job {job_id} replayed")
    return reply


@router.post(
    "/{job_id}/deliveries/{destination}/retry",
    summary="Send a job's results to a destination again",
    status_code=HTTPStatus.ACCEPTED,
    responses=problem_responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
)
def retry_delivery(parts: PartsOf, asker: AskerOf, job_id: JobId, destination: DestinationName) -> Delivery:
    """Start a delivery anew; sending twice is safe, the objects keep their UIDs."""
    if destination not in parts.destination_names:
        known = ", ".join(parts.destination_names) or "none"
        raise ApiError(
            HTTPStatus.NOT_FOUND, f"destination {destination!r} is not configured; configured: {known}"
        )
    with parts.sessions.begin() as session:
        study = audited(find_job(session, job_id, asker.principal).study)
        try:
            row = redeliver(
                session, job_id, destination, destinations=parts.destination_names, now=parts.clock()
            )
        except InvalidInput as error:
            raise ApiError(HTTPStatus.CONFLICT, str(error)) from error
        reply = delivery(row)
    asker.ordered(study, f"job {job_id} sent again to {destination}")
    return reply


def _matching(
    states: Sequence[JobState], outcome: Outcome | None, study_instance_uid: str | None, principal: Principal
) -> Select[JobRow]:
    statement = select(JobRow).where(JobRow.study.has(is_visible(principal)))
    if states:
        statement = statement.where(JobRow.state.in_(states))
    if outcome is not None:
        statement = statement.where(JobRow.outcome == outcome)
    if study_instance_uid is not None:
        statement = statement.where(JobRow.study.has(StudyRow.study_instance_uid == study_instance_uid))
    return statement


def _keys(states: Sequence[JobState], outcome: Outcome | None, study_instance_uid: str | None) -> str:
    return f"state {', '.join(states)}; outcome {outcome or ''}; study {study_instance_uid or ''}"
