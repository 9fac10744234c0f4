"""Studies: the worklist, one study with its series and verdicts, analyse now."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Select, and_, func, select
from sqlalchemy.orm import Session

from core.database import InstanceRow, JobRow, SeriesRow, StudyRow
from core.job import JobState, Lane, Outcome
from service.access.principal import Principal
from service.access.visibility import is_visible
from service.api.asker import Asker, AskerOf, audited
from service.api.models import AnalysisRequested, StudyPage, StudyReply
from service.api.parts import ApiParts, PartsOf
from service.api.paths import (
    DEFAULT_PAGE,
    LARGEST_OFFSET,
    LARGEST_PAGE,
    NO_CONTROL_CHARACTERS,
    Limit,
    Offset,
    StudyUid,
    find_study,
)
from service.api.problems import problem_responses
from service.api.replies import study_reply, study_summary
from service.jobs import request_analysis

router = APIRouter(prefix="/studies", tags=["studies"])

LONGEST_PATIENT_ID = 64
"""Characters of a DICOM LO (PS3.5 6.2)."""


class StudySearch(BaseModel):
    """Which studies to list; what is left out does not restrict."""

    model_config = ConfigDict(extra="forbid")

    patient_id: str | None = Field(default=None, max_length=LONGEST_PATIENT_ID, pattern=NO_CONTROL_CHARACTERS)
    state: JobState | None = None
    """Of the newest job."""
    outcome: Outcome | None = None
    """Of the newest job."""
    limit: int = Field(default=DEFAULT_PAGE, ge=1, le=LARGEST_PAGE, strict=True)
    offset: int = Field(default=0, ge=0, le=LARGEST_OFFSET, strict=True)


def _query_search(
    state: JobState | None = None,
    outcome: Outcome | None = None,
    limit: Limit = DEFAULT_PAGE,
    offset: Offset = 0,
) -> StudySearch:
    return StudySearch(state=state, outcome=outcome, limit=limit, offset=offset)


@router.get("", summary="List studies, the one received last first")
def list_studies(
    parts: PartsOf, asker: AskerOf, search: Annotated[StudySearch, Depends(_query_search)]
) -> StudyPage:
    """List studies by state or outcome of their newest job."""
    return _answer(parts, asker, search)


@router.post("/search", summary="Find studies, also by Patient ID")
def search_studies(parts: PartsOf, asker: AskerOf, search: StudySearch) -> StudyPage:
    """Find studies. A Patient ID goes into the body: URLs end up in the logs of proxies."""
    return _answer(parts, asker, search)


@router.get("/search", include_in_schema=False)
def search_by_url() -> None:
    """Say that a search is a POST, not that `search` is no Study Instance UID."""
    raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, "search by POST: URLs end up in the logs of proxies")


@router.get(
    "/{study_instance_uid}",
    summary="One study: patient, series with role and reasons, jobs",
    responses=problem_responses(HTTPStatus.NOT_FOUND),
)
def get_study(parts: PartsOf, asker: AskerOf, study_instance_uid: StudyUid) -> StudyReply:
    """Show a study, with what assembly made of each series and what the study waits for."""
    with parts.read_sessions() as session:
        study = find_study(session, study_instance_uid, asker.principal)
        counts = session.execute(
            select(SeriesRow.id, func.count(InstanceRow.id))
            .join(SeriesRow.instances)
            .where(SeriesRow.study_id == study.id)
            .group_by(SeriesRow.id)
        )
        reply = study_reply(study, dict(counts.all()))
    asker.read(audited(study))
    return reply


@router.post(
    "/{study_instance_uid}/analysis",
    summary="Analyse a study now",
    status_code=HTTPStatus.ACCEPTED,
    responses=problem_responses(HTTPStatus.NOT_FOUND),
)
def analyse_study(
    parts: PartsOf, asker: AskerOf, study_instance_uid: StudyUid, lane: Lane | None = None
) -> AnalysisRequested:
    """Analyse what has been received, without waiting for the quiet period; in the urgent lane if asked."""
    now = parts.clock()
    with parts.sessions.begin() as session:
        study = find_study(session, study_instance_uid, asker.principal)
        request_analysis(session, study_instance_uid, now, lane)
    asker.ordered(audited(study), "analysis asked for")
    return AnalysisRequested(study_instance_uid=study_instance_uid, analysis_requested_at=now)


def _answer(parts: ApiParts, asker: Asker, search: StudySearch) -> StudyPage:
    with parts.read_sessions() as session:
        page = _page(session, search, asker.principal)
    asker.searched(f"studies: {search.model_dump_json(exclude_none=True)}")
    return page


def _page(session: Session, search: StudySearch, principal: Principal) -> StudyPage:
    statement = _matching(search).where(is_visible(principal))
    total = session.scalar(select(func.count()).select_from(statement.subquery())) or 0
    newest_first = statement.order_by(StudyRow.last_received_at.desc(), StudyRow.id.desc())
    rows = session.execute(newest_first.limit(search.limit).offset(search.offset))
    return StudyPage(
        total=total,
        limit=search.limit,
        offset=search.offset,
        studies=tuple(study_summary(study, newest_job) for study, newest_job in rows),
    )


def _matching(search: StudySearch) -> Select[StudyRow, JobRow]:
    """Select studies, each with its newest job."""
    newest = (
        select(JobRow.study_id, func.max(JobRow.revision).label("revision"))
        .group_by(JobRow.study_id)
        .subquery()
    )
    statement = (
        select(StudyRow, JobRow)
        .outerjoin(newest, newest.c.study_id == StudyRow.id)
        .outerjoin(JobRow, and_(JobRow.study_id == StudyRow.id, JobRow.revision == newest.c.revision))
    )
    wanted = {
        StudyRow.patient_id: search.patient_id,
        JobRow.state: search.state,
        JobRow.outcome: search.outcome,
    }
    return statement.where(*(column == value for column, value in wanted.items() if value is not None))
