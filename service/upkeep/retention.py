"""Retention: images and results of finished studies are removed after a time, what is unfinished never is.

A study stays known with its jobs and lesions, so that the patient's next study can be compared with it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.audit import Actor, Audit, AuditAction, AuditedStudy, AuditEvent, AuditKind
from core.clock import Clock
from core.database import InstanceRow, JobRow, NoticeRow, ResultObjectRow, SeriesRow, Sessions, StudyRow
from core.job import JobState
from core.job_records import RESULT_FILE
from core.logs import logger, pseudonym
from core.notice_records import NoticeState
from core.study_store import StudyStore

DELIVERED = "delivered"
"""State of a delivery that arrived (service.delivery.outbox)."""

FINISHED = frozenset({JobState.DELIVERED, JobState.UNSUITABLE, JobState.SUPERSEDED})
NOTICE_OPEN = frozenset({NoticeState.DUE, NoticeState.MADE})

ROWS_AT_ONCE = 500


class Obstacle(StrEnum):
    """Why a study's files are still needed."""

    STILL_ARRIVING = "waits for assembly"
    NO_JOB = "was never answered"
    UNFINISHED = "has a job that is not finished, parked or waits for delivery"
    UNDELIVERED = "has a delivery that did not arrive"
    UNCOMMITTED = "has a delivery that the peer did not commit to keep"
    TOO_YOUNG = "was finished too recently"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A study that retention looked at.

    Parameters
    ----------
    obstacle
        Why it stays; None when it may go.
    size_bytes
        Of its received files.
    """

    study_id: int
    study_instance_uid: str
    obstacle: Obstacle | None
    instances: int
    size_bytes: int
    finished_at: datetime | None


class Retention:
    """Removes what is no longer needed.

    Parameters
    ----------
    committing
        Names of the destinations that are asked for storage commitment.
    audit
        Gets every removal.
    """

    def __init__(
        self,
        sessions: Sessions,
        read_sessions: Sessions,
        store: StudyStore,
        clock: Clock,
        audit: Audit,
        committing: Collection[str] = (),
    ) -> None:
        self._sessions = sessions
        self._read_sessions = read_sessions
        self._store = store
        self._clock = clock
        self._audit = audit
        self._committing = frozenset(committing)

    def candidates(self, keep_days: float, study_instance_uid: str | None = None) -> list[Candidate]:
        """Judge every study that still has files, the oldest first; change nothing."""
        statement = select(StudyRow).where(StudyRow.purged_at.is_(None)).order_by(StudyRow.last_received_at)
        if study_instance_uid is not None:
            statement = statement.where(StudyRow.study_instance_uid == study_instance_uid)
        with self._read_sessions() as session:
            return [self._judge(session, study, keep_days) for study in session.scalars(statement)]

    def purge_due(self, keep_days: float) -> int:
        """Remove the files of every study that may go; go on with what was cut short. Return how many."""
        due = [one for one in self.candidates(keep_days) if one.obstacle is None]
        for candidate in due:
            self.purge(candidate)
        return len(due) + self._finish_cut_short()

    def purge(self, candidate: Candidate, reason: str = "retention") -> None:
        """Remove a study's files: first it is marked, then the files go, then their records.

        A process that dies in between leaves a marked study, which the next round finishes: no record
        names a file that is gone in a study that is not marked, and no file loses its record first.
        """
        now = self._clock()
        with self._sessions.begin() as session:
            study = session.get_one(StudyRow, candidate.study_id, with_for_update=True)
            study.purged_at = now
            event = _event(study, candidate, reason)
        self._remove(candidate.study_id)
        self._audit.record(event)
        logger().info("study purged", study=pseudonym(candidate.study_instance_uid), reason=reason)

    def _judge(self, session: Session, study: StudyRow, keep_days: float) -> Candidate:
        sizes = session.execute(
            select(InstanceRow.size_bytes).join(SeriesRow).where(SeriesRow.study_id == study.id)
        ).all()
        finished_at = _finished_at(study)
        return Candidate(
            study.id,
            study.study_instance_uid,
            self._obstacle(study, finished_at, keep_days),
            len(sizes),
            sum(size for (size,) in sizes),
            finished_at,
        )

    def _obstacle(self, study: StudyRow, finished_at: datetime | None, keep_days: float) -> Obstacle | None:
        if study.awaits_assembly:
            return Obstacle.STILL_ARRIVING
        if not study.jobs or finished_at is None:
            return Obstacle.NO_JOB
        if any(job.state not in FINISHED or _notice_is_open(job) for job in study.jobs):
            return Obstacle.UNFINISHED
        deliveries = [delivery for job in study.jobs for delivery in job.deliveries]
        if any(delivery.state != DELIVERED for delivery in deliveries):
            return Obstacle.UNDELIVERED
        if any(d.destination in self._committing and d.committed_at is None for d in deliveries):
            return Obstacle.UNCOMMITTED
        return Obstacle.TOO_YOUNG if self._clock() - finished_at < timedelta(days=keep_days) else None

    def _finish_cut_short(self) -> int:
        """Finish what a process that ended in the middle began."""
        marked = (
            select(StudyRow.id)
            .join(SeriesRow, SeriesRow.study_id == StudyRow.id)
            .join(InstanceRow, InstanceRow.series_id == SeriesRow.id)
            .where(StudyRow.purged_at.is_not(None), InstanceRow.received_at <= StudyRow.purged_at)
            .distinct()
        )
        with self._read_sessions() as session:
            study_ids = list(session.scalars(marked))
        for study_id in study_ids:
            self._remove(study_id)
        return len(study_ids)

    def _remove(self, study_id: int) -> None:
        with self._read_sessions() as session:
            study = session.get_one(StudyRow, study_id)
            marked_at = study.purged_at
            instances = session.execute(
                select(InstanceRow.id, InstanceRow.path)
                .join(SeriesRow)
                .where(SeriesRow.study_id == study_id, InstanceRow.received_at <= marked_at)
            ).all()
            results = [
                RESULT_FILE.validate_python(file).path for job in study.jobs for file in job.results.values()
            ]
            job_ids = [job.id for job in study.jobs]
        for path in [*(row.path for row in instances), *results]:
            self._store.resolve(path).unlink(missing_ok=True)
        with self._sessions.begin() as session:
            for start in range(0, len(instances), ROWS_AT_ONCE):
                ids = [row.id for row in instances[start : start + ROWS_AT_ONCE]]
                session.execute(delete(InstanceRow).where(InstanceRow.id.in_(ids)))
            session.execute(delete(ResultObjectRow).where(ResultObjectRow.job_id.in_(job_ids)))
            for job in session.scalars(select(JobRow).where(JobRow.id.in_(job_ids))):
                job.results = {}


def _finished_at(study: StudyRow) -> datetime | None:
    """Return when the last thing happened that keeps a study's files needed."""
    moments = [job.finished_at for job in study.jobs]
    for job in study.jobs:
        for delivery in job.deliveries:
            moments += [delivery.delivered_at, delivery.committed_at]
    known = [moment for moment in moments if moment is not None]
    return max([*known, study.last_received_at]) if known else None


def _notice_is_open(job: JobRow) -> bool:
    notice: NoticeRow | None = job.notice
    return notice is not None and NoticeState(notice.state) in NOTICE_OPEN


def _event(study: StudyRow, candidate: Candidate, reason: str) -> AuditEvent:
    return AuditEvent(
        AuditKind.STUDY_DELETED,
        AuditAction.DELETE,
        (Actor("metserve upkeep", is_requestor=True, role="application"),),
        studies=(AuditedStudy(study.study_instance_uid, study.patient_id, study.patient_name),),
        detail=f"{candidate.instances} instances and their results removed: {reason}",
    )
