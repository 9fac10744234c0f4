"""How database rows become the API's replies."""

from __future__ import annotations

from core.database import DeliveryRow, JobRow, SeriesRow, StudyRow
from core.job_records import REPORT, SELECTION
from core.lesion import FindingsReport
from core.study import SeriesVerdict
from service.api.models import (
    AssemblyReply,
    Delivery,
    JobReply,
    JobSummary,
    LesionsReply,
    Patient,
    SeriesReply,
    StudyReply,
    StudySummary,
)
from service.delivery.outbox import DeliveryState
from service.selection.study_assembly import STUDY_ASSEMBLY, StudyAssembly


def job_summary(job: JobRow) -> JobSummary:
    """Return a job as lists show it; the study must be loaded."""
    return JobSummary(**_summary_fields(job))


def job_reply(job: JobRow) -> JobReply:
    """Return everything about a job; study and deliveries must be loaded."""
    selection = SELECTION.validate_python(job.selection)
    report = report_of(job)
    return JobReply(
        **_summary_fields(job),
        mode=report.mode if report else selection.mode,
        flags=report.flags if report else selection.flags,
        stage_attempts=job.stage_attempts,
        stage_seconds=job.stage_seconds,
        model=report.model if report else None,
        deliveries=tuple(delivery(row) for row in job.deliveries),
    )


def delivery(row: DeliveryRow) -> Delivery:
    """Return a delivery."""
    pending = row.state == DeliveryState.PENDING
    return Delivery(
        destination=row.destination,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_try_at=row.next_try_at if pending else None,
        delivered_at=row.delivered_at,
        last_error=row.last_error,
        remark=row.remark,
    )


def study_summary(study: StudyRow, newest_job: JobRow | None) -> StudySummary:
    """Return a study as lists show it."""
    return StudySummary(**_study_fields(study, newest_job))


def study_reply(study: StudyRow, instances_by_series: dict[int, int]) -> StudyReply:
    """Return a study; its series and jobs must be loaded.

    Parameters
    ----------
    instances_by_series
        SeriesRow.id -> number of instances received.
    """
    jobs = list(reversed(study.jobs))
    assembly = STUDY_ASSEMBLY.validate_python(study.assembly) if study.assembly is not None else None
    verdicts = assembly.verdicts if assembly else ()
    by_uid = {verdict.series_instance_uid: verdict for verdict in verdicts}
    return StudyReply(
        **_study_fields(study, jobs[0] if jobs else None),
        analysis_requested_at=study.analysis_requested_at,
        assembly=_assembly(assembly, is_waiting=study.awaits_assembly) if assembly else None,
        series=tuple(
            _series(row, instances_by_series.get(row.id, 0), by_uid.get(row.series_instance_uid))
            for row in study.series
        ),
        jobs=tuple(job_summary(job) for job in jobs),
    )


def lesions_reply(job: JobRow, report: FindingsReport) -> LesionsReply:
    """Return a job's lesions."""
    return LesionsReply(
        job_id=job.id,
        study_instance_uid=report.study_instance_uid,
        series_instance_uid=report.series_instance_uid,
        revision=report.revision,
        model=report.model,
        flags=report.flags,
        total_volume_mm3=report.total_volume_mm3,
        lesions=report.lesions,
    )


def report_of(job: JobRow) -> FindingsReport | None:
    """Return the published findings, None while there are none."""
    return REPORT.validate_python(job.report) if job.report is not None else None


def _summary_fields(job: JobRow) -> dict[str, object]:
    return {
        "job_id": job.id,
        "study_instance_uid": job.study.study_instance_uid,
        "revision": job.revision,
        "state": job.state,
        "outcome": job.outcome,
        "reason": job.reason,
        "message": job.message,
        "progress": job.progress,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "finished_at": job.finished_at,
        "results": tuple(sorted(job.results)),
    }


def _study_fields(study: StudyRow, newest_job: JobRow | None) -> dict[str, object]:
    shared = (
        "study_instance_uid",
        "accession_number",
        "study_date",
        "study_time",
        "study_description",
        "first_received_at",
        "last_received_at",
        "awaits_assembly",
    )
    return {name: getattr(study, name) for name in shared} | {
        "patient": Patient(**{name: getattr(study, name) for name in Patient.model_fields}),
        "newest_job": job_summary(newest_job) if newest_job else None,
    }


def _assembly(assembly: StudyAssembly, *, is_waiting: bool) -> AssemblyReply:
    return AssemblyReply(
        assembled_at=assembly.assembled_at,
        missing_role=assembly.missing_role,
        waits_because=assembly.waits_because if is_waiting else "",
    )


def _series(row: SeriesRow, number_of_instances: int, verdict: SeriesVerdict | None) -> SeriesReply:
    return SeriesReply(
        series_instance_uid=row.series_instance_uid,
        modality=row.modality,
        series_number=row.series_number,
        series_description=row.series_description,
        number_of_instances=number_of_instances,
        role=verdict.role if verdict else None,
        score=verdict.score if verdict else None,
        reasons=verdict.reasons if verdict else (),
    )
