"""Results: findings and lesions as JSON or CSV, the DICOM objects as files."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import FileResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.database import JobRow
from core.job import JobState
from core.lesion import FindingsReport
from core.results import ResultKind
from service.access.principal import Principal
from service.api.absence import why_absent, why_unpublished
from service.api.asker import Asker, AskerOf, audited
from service.api.lesion_table import lesions_csv
from service.api.models import FindingsReply, LesionsReply
from service.api.parts import ApiParts, PartsOf
from service.api.paths import JobId, StudyUid, find_job, find_study
from service.api.problems import ApiError, problem_responses
from service.api.replies import lesions_reply, report_of
from service.delivery.results import check_unchanged, result_object

CSV = "text/csv"
DICOM = "application/dicom"

router = APIRouter(tags=["results"])

_NOT_FOUND = problem_responses(HTTPStatus.NOT_FOUND)
_LESIONS = {**_NOT_FOUND, 200: {"content": {CSV: {"schema": {"type": "string"}}}}}
_DICOM_FILE = {**_NOT_FOUND, 200: {"content": {DICOM: {"schema": {"type": "string", "format": "binary"}}}}}


@router.get("/jobs/{job_id}/findings", summary="Everything a job found", responses=_NOT_FOUND)
def get_findings(parts: PartsOf, asker: AskerOf, job_id: JobId) -> FindingsReply:
    """Show the findings as they were published."""
    job = _job(parts, asker, job_id)
    return FindingsReply(job_id=job_id, findings=_published(job))


@router.get(
    "/jobs/{job_id}/lesions",
    summary="The lesions, as JSON or (Accept: text/csv) as CSV",
    response_model=LesionsReply,
    responses=_LESIONS,
)
def get_lesions(
    parts: PartsOf, asker: AskerOf, job_id: JobId, accept: Annotated[str, Header()] = "*/*"
) -> LesionsReply | Response:
    """List the lesions of a job, largest first."""
    return _lesions(_job(parts, asker, job_id), as_csv=CSV in accept)


@router.get(
    "/jobs/{job_id}/lesions.csv",
    summary="The lesions as CSV",
    response_class=Response,
    responses=_LESIONS,
)
def get_lesion_table(parts: PartsOf, asker: AskerOf, job_id: JobId) -> Response:
    """List the lesions of a job for a spreadsheet."""
    job = _job(parts, asker, job_id)
    return _csv(job, _published(job))


@router.get(
    "/studies/{study_instance_uid}/lesions",
    summary="The lesions of the study's newest published job",
    response_model=LesionsReply,
    responses=_LESIONS,
)
def get_study_lesions(
    parts: PartsOf,
    asker: AskerOf,
    study_instance_uid: StudyUid,
    accept: Annotated[str, Header()] = "*/*",
) -> LesionsReply | Response:
    """List the lesions the newest finished analysis found."""
    with parts.read_sessions() as session:
        job = _newest_published(session, study_instance_uid, asker.principal)
        study = audited(job.study)
    asker.read(study)
    return _lesions(job, as_csv=CSV in accept)


@router.get(
    "/jobs/{job_id}/seg",
    summary="The DICOM segmentation",
    response_class=FileResponse,
    responses=_DICOM_FILE,
)
def get_segmentation(parts: PartsOf, asker: AskerOf, job_id: JobId) -> FileResponse:
    """Give the Segmentation object; a negative study has none."""
    return _object_file(parts, asker, job_id, ResultKind.SEG)


@router.get(
    "/jobs/{job_id}/sr",
    summary="The DICOM structured report",
    response_class=FileResponse,
    responses=_DICOM_FILE,
)
def get_structured_report(parts: PartsOf, asker: AskerOf, job_id: JobId) -> FileResponse:
    """Give the Structured Report; a negative study has one too."""
    return _object_file(parts, asker, job_id, ResultKind.SR)


@router.get(
    "/jobs/{job_id}/objects/{kind}",
    summary="Any of the job's DICOM objects, by kind",
    response_class=FileResponse,
    responses=_DICOM_FILE,
)
def get_object(parts: PartsOf, asker: AskerOf, job_id: JobId, kind: ResultKind) -> FileResponse:
    """Give the object of a kind; when there is none, the answer says why."""
    return _object_file(parts, asker, job_id, kind)


def _lesions(job: JobRow, *, as_csv: bool) -> LesionsReply | Response:
    report = _published(job)
    return _csv(job, report) if as_csv else lesions_reply(job, report)


def _csv(job: JobRow, report: FindingsReport) -> Response:
    return Response(
        lesions_csv(report.lesions, report.study_instance_uid, job.id),
        media_type=CSV,
        headers={"Content-Disposition": f'attachment; filename="{job.id}-lesions.csv"'},
    )


def _job(parts: ApiParts, asker: Asker, job_id: str) -> JobRow:
    with parts.read_sessions() as session:
        job = find_job(session, job_id, asker.principal)
        study = audited(job.study)
    asker.read(study)
    return job


def _object_file(parts: ApiParts, asker: Asker, job_id: str, kind: ResultKind) -> FileResponse:
    with parts.read_sessions() as session:
        job = find_job(session, job_id, asker.principal)
        study = audited(job.study)
        result = result_object(parts.store, job, kind)
        if result is None:
            raise ApiError(HTTPStatus.NOT_FOUND, why_absent(job, kind))
    check_unchanged(result)
    asker.read(study)
    return FileResponse(
        result.path,
        media_type=DICOM,
        filename=f"{job_id}-{kind}.dcm",
        headers={"ETag": f'"{result.sha256}"'},
    )


def _published(job: JobRow) -> FindingsReport:
    """Return a job's findings, or end the request with a 404 that says why there are none."""
    report = report_of(job)
    if report is None:
        raise ApiError(HTTPStatus.NOT_FOUND, why_unpublished(job))
    return report


def _newest_published(session: Session, study_instance_uid: str, principal: Principal) -> JobRow:
    study = find_study(session, study_instance_uid, principal)
    job = session.scalars(
        select(JobRow)
        .where(JobRow.study_id == study.id, JobRow.state.in_([JobState.ENCODED, JobState.DELIVERED]))
        .order_by(JobRow.revision.desc())
        .limit(1)
    ).one_or_none()
    if job is None:
        raise ApiError(
            HTTPStatus.NOT_FOUND, f"study {study_instance_uid} has no finished analysis with results"
        )
    return job
