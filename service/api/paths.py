"""What a path or a query may hold, checked before the database is asked."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Path, Query
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.database import JobRow, StudyRow
from core.uids import is_acceptable_uid
from service.access.principal import Principal
from service.access.visibility import is_visible
from service.api.problems import ApiError

DEFAULT_PAGE = 50
LARGEST_PAGE = 200
"""Entries of one page; a longer answer would hold a worker thread and memory for too long."""

LARGEST_OFFSET = 1_000_000
"""Beyond any installation's number of studies."""

JobId = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", description="A job's id, as /jobs lists it.")
]
DestinationName = Annotated[
    str, Path(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$", description="A destination's name in the settings.")
]
Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]
Offset = Annotated[int, Query(ge=0, le=LARGEST_OFFSET)]


NO_CONTROL_CHARACTERS = r"^[^\x00-\x1f\x7f]*$"
"""What a text to search for looks like: PostgreSQL keeps no NUL, and DICOM no control characters in an LO."""


UID_SCHEMA = {"pattern": r"^[0-9.]{1,64}$"}
"""For OpenAPI: what ``is_acceptable_uid`` accepts."""


def _study_uid(
    study_instance_uid: Annotated[
        str, Path(description="Study Instance UID.", json_schema_extra={**UID_SCHEMA})
    ],
) -> str:
    if not is_acceptable_uid(study_instance_uid):
        raise ApiError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{study_instance_uid[:80]!r} is not a Study Instance UID: expected 1 to 64 digits and dots",
        )
    return study_instance_uid


def _study_uid_or_none(
    study_instance_uid: Annotated[
        str | None, Query(description="Study Instance UID.", json_schema_extra={**UID_SCHEMA})
    ] = None,
) -> str | None:
    return None if study_instance_uid is None else _study_uid(study_instance_uid)


StudyUid = Annotated[str, Depends(_study_uid)]
StudyUidQuery = Annotated[str | None, Depends(_study_uid_or_none)]


def find_study(session: Session, study_instance_uid: str, principal: Principal) -> StudyRow:
    """Return a study, or end the request with 404: one that is not visible is as one that is not there."""
    statement = select(StudyRow).where(
        StudyRow.study_instance_uid == study_instance_uid, is_visible(principal)
    )
    study = session.scalars(statement).one_or_none()
    if study is None:
        raise ApiError(HTTPStatus.NOT_FOUND, f"no instance of study {study_instance_uid} was received")
    return study


def find_job(session: Session, job_id: str, principal: Principal) -> JobRow:
    """Return a job, or end the request with 404: so too when its study is not visible."""
    statement = select(JobRow).join(StudyRow).where(JobRow.id == job_id, is_visible(principal))
    job = session.scalars(statement).one_or_none()
    if job is None:
        raise ApiError(HTTPStatus.NOT_FOUND, f"there is no job {job_id}")
    return job
