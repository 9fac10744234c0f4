"""Job records: every change of a job's state, as one compare-and-set each.

A worker claims a stage (lease and fencing number), renews the lease while it computes, and finishes
or fails it. A worker that lost its lease finds out at its next write and writes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from core.database import JobRow, LesionRow
from core.errors import InvalidInput, LeaseLost, UnsuitableStudy
from core.job import (
    MAX_ATTEMPTS,
    STAGES,
    TRANSITIONS,
    UNFINISHED_WORK,
    JobState,
    Outcome,
    Stage,
    check_transition,
)
from core.lesion import FindingsReport
from core.results import ResultKind
from core.study import Selection

SELECTION = TypeAdapter(Selection)
REPORT = TypeAdapter(FindingsReport)

RETRY_PAUSE_S = 10.0
"""Pause before a failed stage is tried again; a restarted server is back by then."""

PROGRESS_AT_START: Mapping[Stage, float] = {Stage.PREPARE: 0.0, Stage.INFER: 0.1, Stage.ENCODE: 0.95}
"""Share of the whole analysis that lies before a stage: inference takes nearly all the time."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one stage of a job until the lease ends.

    Parameters
    ----------
    fence
        Larger than that of every earlier claim of the job; also names the attempt's folder.
    """

    job_id: str
    stage: Stage
    owner: str
    fence: int
    attempt: int


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A published object; ``path`` is relative to the study store."""

    path: str
    sop_instance_uid: str
    sop_class_uid: str
    sha256: str
    size_bytes: int


RESULT_FILE = TypeAdapter(ResultFile)


def claim(
    session: Session, job_id: str, stage: Stage, *, owner: str, lease_s: float, now: datetime
) -> Lease | None:
    """Take a stage of a job, or return None when there is nothing to take.

    A job can be taken when it waits for the stage, or when its worker let the lease run out. The
    attempt is counted before the work begins: a study that kills its worker is counted too. The
    attempt beyond ``MAX_ATTEMPTS`` parks the job.
    """
    job = session.get(JobRow, job_id, with_for_update=True)
    if job is None or not _claimable(job, stage, now):
        return None
    if job.stage_attempts >= MAX_ATTEMPTS:
        _park(job, "worker_lost", f"stage {stage} ended its worker {job.stage_attempts} times", now)
        return None
    if job.state != STAGES[stage].running:
        _move(job, STAGES[stage].running, now)
    job.stage_attempts += 1
    job.fence += 1
    job.lease_owner = owner
    job.lease_until = now + timedelta(seconds=lease_s)
    job.progress = PROGRESS_AT_START[stage]
    return Lease(job_id, stage, owner, job.fence, job.stage_attempts)


def renew(
    session: Session, lease: Lease, *, lease_s: float, now: datetime, progress: float | None = None
) -> None:
    """Keep a lease; raise LeaseLost when somebody else holds the job now."""
    values: dict[str, Any] = {"lease_until": now + timedelta(seconds=lease_s), "updated_at": now}
    if progress is not None:
        values["progress"] = progress
    result = session.execute(update(JobRow).where(*_held_by(lease)).values(**values))
    if not isinstance(result, CursorResult) or result.rowcount != 1:
        raise LeaseLost(f"the lease on stage {lease.stage} (attempt {lease.attempt}) is gone")


def finish_stage(session: Session, lease: Lease, *, seconds: Mapping[str, float], now: datetime) -> None:
    """Record a stage's artefacts as valid and move the job on."""
    job = _held_job(session, lease)
    job.artefacts = {**job.artefacts, lease.stage.value: lease.fence}
    job.stage_seconds = {**job.stage_seconds, **seconds}
    job.stage_attempts = 0
    job.enqueued_at = None
    _release(job)
    _move(job, STAGES[lease.stage].done, now)


def publish(
    session: Session,
    lease: Lease,
    *,
    report: FindingsReport,
    results: Mapping[str, ResultFile],
    seconds: Mapping[str, float],
    now: datetime,
) -> None:
    """Make an attempt's results THE results of the job, in the transaction that ends its work."""
    finish_stage(session, lease, seconds=seconds, now=now)
    job = session.get_one(JobRow, lease.job_id)
    job.report = REPORT.dump_python(report, mode="json")
    job.results = {kind: asdict(file) for kind, file in results.items()}
    job.model_digest = report.model.digest
    job.outcome = Outcome.POSITIVE if report.lesions else Outcome.NEGATIVE
    job.message = ""  # of an attempt that failed before
    job.progress = 1.0
    job.finished_at = now
    for lesion in report.lesions:
        x, y, z = lesion.centroid_lps_mm
        session.add(
            LesionRow(
                job_id=job.id,
                number=lesion.number,
                tracking_uid=lesion.tracking_uid,
                volume_mm3=lesion.volume_mm3,
                centroid_x_lps_mm=x,
                centroid_y_lps_mm=y,
                centroid_z_lps_mm=z,
            )
        )


def end_unsuitable(session: Session, lease: Lease, error: UnsuitableStudy, now: datetime) -> None:
    """End a job whose study cannot be analysed."""
    job = _held_job(session, lease)
    _release(job)
    _move(job, JobState.UNSUITABLE, now)
    job.outcome, job.reason, job.message = Outcome.UNSUITABLE, error.reason, error.message
    job.finished_at = now


def fail_stage(session: Session, lease: Lease, error: Exception, *, retry: bool, now: datetime) -> bool:
    """Record a failed attempt: try again after a pause, or park the job.

    Returns
    -------
    bool
        True when the job was parked.
    """
    job = _held_job(session, lease)
    message = f"{type(error).__name__}: {error}"
    if not retry or job.stage_attempts >= MAX_ATTEMPTS:
        _park(job, type(error).__name__, message, now)
        return True
    _release(job)
    _move(job, STAGES[lease.stage].waiting, now)
    job.message = message
    job.not_before = now + timedelta(seconds=RETRY_PAUSE_S)
    job.enqueued_at = None
    return False


def hand_back(session: Session, lease: Lease, now: datetime) -> None:
    """Give an unfinished stage back, as if it had not been started; another worker takes it at once."""
    job = _held_job(session, lease)
    _release(job)
    _move(job, STAGES[lease.stage].waiting, now)
    job.stage_attempts -= 1
    job.enqueued_at = None


def replay(session: Session, job_id: str, now: datetime) -> JobRow:
    """Put a parked job back on the queue, from its first stage, with all its attempts.

    Raises
    ------
    InvalidInput
        The job is not parked.
    """
    job = session.get_one(JobRow, job_id, with_for_update=True)
    if job.state != JobState.PARKED:
        raise InvalidInput(f"job {job_id} is {job.state}; only a parked job can be replayed")
    _move(job, JobState.QUEUED, now)
    job.outcome, job.reason, job.message = None, "", ""
    job.stage_attempts, job.progress = 0, 0.0
    job.enqueued_at = job.not_before = job.finished_at = job.alerted_at = None
    return job


def superseded_report(session: Session, job: JobRow) -> str | None:
    """Return the path of the newest older revision's published SR, None when there is none."""
    older = _older_revisions(session, job)
    return next((row.results["sr"]["path"] for row in older if "sr" in row.results), None)


def superseded_objects(session: Session, job: JobRow) -> tuple[ResultFile, ...]:
    """Return the DICOM objects of a study's older revisions that no revision has rejected yet.

    The newest revision comes first. Those before a revision that published a rejection note were
    rejected by it; a note itself is not rejected.
    """
    files: list[ResultFile] = []
    for row in _older_revisions(session, job):
        rejectable = [kind for kind in ResultKind if kind in row.results and kind is not ResultKind.REJECTION]
        files.extend(RESULT_FILE.validate_python(row.results[kind]) for kind in rejectable)
        if ResultKind.REJECTION in row.results:
            break
    return tuple(files)


def supersede_unfinished(session: Session, study_id: int, now: datetime) -> None:
    """End the work on older revisions of a study; published results stay what they are."""
    superseded = [state for state, following in TRANSITIONS.items() if JobState.SUPERSEDED in following]
    rows = session.scalars(
        select(JobRow).where(JobRow.study_id == study_id, JobRow.state.in_(superseded)).with_for_update()
    )
    for job in rows:
        _release(job)
        _move(job, JobState.SUPERSEDED, now)
        job.finished_at = now


def ended_jobs(session: Session, job_ids: Collection[str], before: datetime) -> list[str]:
    """Return those jobs no worker has anything to do for any more since a moment."""
    statement = select(JobRow.id).where(
        JobRow.id.in_(job_ids), JobRow.state.not_in(UNFINISHED_WORK), JobRow.updated_at < before
    )
    return list(session.scalars(statement))


def _older_revisions(session: Session, job: JobRow) -> Iterator[JobRow]:
    """Give the study's older jobs, the newest first."""
    older = select(JobRow).where(JobRow.study_id == job.study_id, JobRow.revision < job.revision)
    yield from session.scalars(older.order_by(JobRow.revision.desc()))


def _claimable(job: JobRow, stage: Stage, now: datetime) -> bool:
    if job.state == STAGES[stage].waiting:
        return job.not_before is None or job.not_before <= now
    lease_ended = job.lease_until is None or job.lease_until < now
    return job.state == STAGES[stage].running and lease_ended


def _held_by(lease: Lease) -> tuple[Any, ...]:
    return (
        JobRow.id == lease.job_id,
        JobRow.state == STAGES[lease.stage].running,
        JobRow.lease_owner == lease.owner,
        JobRow.fence == lease.fence,
    )


def _held_job(session: Session, lease: Lease) -> JobRow:
    job = session.scalars(select(JobRow).where(*_held_by(lease)).with_for_update()).one_or_none()
    if job is None:
        raise LeaseLost(f"the lease on stage {lease.stage} (attempt {lease.attempt}) is gone")
    return job


def _park(job: JobRow, reason: str, message: str, now: datetime) -> None:
    _release(job)
    _move(job, JobState.PARKED, now)
    job.outcome, job.reason, job.message = Outcome.FAILED, reason, message
    job.finished_at = now


def _release(job: JobRow) -> None:
    job.lease_owner = None
    job.lease_until = None


def _move(job: JobRow, following: JobState, now: datetime) -> None:
    check_transition(JobState(job.state), following)
    job.state = following
    job.updated_at = now
