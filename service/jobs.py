"""From received studies to jobs on the queue; the database is the truth, the broker a doorbell."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from celery import Celery
from prometheus_client import Counter
from sqlalchemy import func, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from core import job_records
from core.broker import ring
from core.clock import Clock
from core.database import InstanceRow, JobRow, SeriesRow, Sessions, StudyRow
from core.errors import InvalidInput
from core.headers import INSTANCE_HEADER, group_into_studies
from core.job import RUNNING_STAGE, WAITING_FOR_STAGE, JobState, Outcome, Stage
from core.job_records import SELECTION
from core.logs import logger, pseudonym
from core.settings import AssemblySettings
from core.study import AnalysisMode, Selection, Study
from core.study_store import StudyStore
from service.alerts import Alerts
from service.selection.assembly import Refusal, is_due, select_series

JOBS_CREATED = Counter("metserve_jobs_created", "Jobs, by the mode of analysis or 'unsuitable'.", ["mode"])
COORDINATOR_ERRORS = Counter("metserve_coordinator_errors", "Coordinator steps that failed.", ["step"])


WORK_KEPT_S = 3600.0
"""Artefacts of an ended job stay so long: a worker that lost it may still write to them."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """A study as it stood at one moment."""

    study_id: int
    study_instance_uid: str
    last_received_at: datetime
    is_requested: bool
    instance_count: int

    def quiet_s(self, now: datetime) -> float:
        return (now - self.last_received_at).total_seconds()


@dataclass(frozen=True, slots=True)
class _Answer:
    """What assembly made of a snapshot."""

    snapshot: _Snapshot
    result: Selection | Refusal


class Coordinator:
    """Assembles studies, puts jobs on the queue, raises alerts; several may run at once.

    Parameters
    ----------
    broker
        Celery app whose workers compute.
    store
        Where ended jobs' artefacts are cleared away.
    new_job_id
        Returns a new job's id.
    """

    def __init__(
        self,
        sessions: Sessions,
        read_sessions: Sessions,
        broker: Celery,
        store: StudyStore,
        settings: AssemblySettings,
        clock: Clock,
        *,
        new_job_id: Callable[[], str],
        alerts: Alerts,
    ) -> None:
        self._sessions = sessions
        self._read_sessions = read_sessions
        self._broker = broker
        self._store = store
        self._settings = settings
        self._clock = clock
        self._new_job_id = new_job_id
        self._alerts = alerts
        self._answers: dict[int, _Answer] = {}

    def run(self, stop: threading.Event) -> None:
        """Do every step again and again until told to stop; a step that fails does not end the loop."""
        while not stop.is_set():
            for step in (self.assemble_due, self.requeue, self.raise_alerts, self.discard_work):
                self._attempt(step)
            stop.wait(self._settings.poll_interval_s)

    def assemble_due(self) -> None:
        """Answer every study that is complete, or has waited long enough, with a job."""
        snapshots = self._waiting_snapshots()
        waiting = {snapshot.study_id for snapshot in snapshots}
        self._answers = {study: answer for study, answer in self._answers.items() if study in waiting}
        for snapshot in snapshots:
            if self._may_be_due(snapshot):
                self._answer_if_due(snapshot)

    def requeue(self) -> None:
        """Ring for every job that waits and was not announced, or not heard."""
        now = self._clock()
        with self._read_sessions() as session:
            due = job_records.due_jobs(session, now=now, requeue_after_s=self._settings.requeue_after_s)
        for job in due:
            try:
                ring(self._broker, _stage_of(job), job.id)
            except Exception as error:  # noqa: BLE001 - transports raise their own; the job stays due
                logger().warning("broker unreachable; jobs wait", error=type(error).__name__)
                return
            with self._sessions.begin() as session:
                unchanged = (JobRow.id == job.id, JobRow.state == job.state)
                session.execute(update(JobRow).where(*unchanged).values(enqueued_at=now))

    def raise_alerts(self) -> None:
        """Tell about parked jobs and given-up deliveries."""
        self._alerts.raise_due()

    def discard_work(self) -> None:
        """Remove what superseded jobs, and workers that were killed, left behind."""
        job_ids = self._store.jobs_with_work()
        if not job_ids:
            return
        before = self._clock() - timedelta(seconds=WORK_KEPT_S)
        with self._read_sessions() as session:
            for job_id in job_records.ended_jobs(session, job_ids, before):
                self._store.discard_work(job_id)

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:  # noqa: BLE001 - the loop outlives a lost database
            COORDINATOR_ERRORS.labels(step.__name__).inc()
            logger().exception("a coordinator step failed", step=step.__name__)

    def _waiting_snapshots(self) -> list[_Snapshot]:
        statement = (
            select(
                StudyRow.id,
                StudyRow.study_instance_uid,
                StudyRow.last_received_at,
                StudyRow.analysis_requested_at,
                func.count(InstanceRow.id),
            )
            .join(SeriesRow, SeriesRow.study_id == StudyRow.id)
            .join(InstanceRow, InstanceRow.series_id == SeriesRow.id)
            .where(StudyRow.awaits_assembly)
            .group_by(StudyRow.id)
            .order_by(StudyRow.last_received_at)
        )
        with self._read_sessions() as session:
            rows = session.execute(statement).all()
        return [
            _Snapshot(study_id, uid, last_at, requested_at is not None, count)
            for study_id, uid, last_at, requested_at, count in rows
        ]

    def _may_be_due(self, snapshot: _Snapshot) -> bool:
        """Spare studies that still arrive the reading of their headers."""
        earliest_s = min(self._settings.quiet_period_s, self._settings.incomplete_quiet_period_s)
        return snapshot.is_requested or snapshot.quiet_s(self._clock()) >= earliest_s

    def _answer_if_due(self, snapshot: _Snapshot) -> None:
        answer = self._answers.get(snapshot.study_id)
        if answer is None or answer.snapshot != snapshot:
            answer = self._assemble(snapshot)
            self._answers[snapshot.study_id] = answer
        quiet_s = snapshot.quiet_s(self._clock())
        if is_due(
            answer.result, quiet_s=quiet_s, is_requested=snapshot.is_requested, settings=self._settings
        ):
            with self._sessions.begin() as session:
                self._create_job(session, answer)

    def _assemble(self, snapshot: _Snapshot) -> _Answer:
        with self._read_sessions() as session:
            return _Answer(snapshot, select_series(_load_study(session, snapshot)))

    def _create_job(self, session: Session, answer: _Answer) -> None:
        """Answer a study, unless something arrived since the snapshot."""
        now = self._clock()
        if not _close_assembly(session, answer.snapshot):
            return
        newest = _newest_job(session, answer.snapshot.study_id)
        if newest and not answer.snapshot.is_requested and _is_same_answer(newest, answer.result):
            return
        job = _new_job(self._new_job_id(), answer, newest.revision + 1 if newest else 1, now)
        job_records.supersede_unfinished(session, answer.snapshot.study_id, now)
        session.add(job)
        JOBS_CREATED.labels(_mode(answer.result)).inc()
        logger().info(
            "study assembled",
            job_id=job.id,
            study=pseudonym(answer.snapshot.study_instance_uid),
            revision=job.revision,
            mode=_mode(answer.result),
        )


def request_analysis(session: Session, study_instance_uid: str, now: datetime) -> None:
    """Ask for a study to be analysed now, without waiting, and again if it was analysed before.

    Raises
    ------
    InvalidInput
        No instance of this study was received.
    """
    result = session.execute(
        update(StudyRow)
        .where(StudyRow.study_instance_uid == study_instance_uid)
        .values(analysis_requested_at=now, awaits_assembly=True)
    )
    if not _changed_one(result):
        raise InvalidInput("no instance of this study was received")


def _load_study(session: Session, snapshot: _Snapshot) -> Study:
    headers = session.scalars(
        select(InstanceRow.header)
        .join(SeriesRow, InstanceRow.series_id == SeriesRow.id)
        .where(SeriesRow.study_id == snapshot.study_id)
        .order_by(SeriesRow.id, InstanceRow.id)
    )
    return group_into_studies(INSTANCE_HEADER.validate_python(header) for header in headers)[0]


def _close_assembly(session: Session, snapshot: _Snapshot) -> bool:
    """Take a study off the waiting list; False when it is no longer the one of the snapshot.

    The count is compared as well: two instances may arrive at one tick of the clock.
    """
    count = select(func.count(InstanceRow.id)).join(SeriesRow).where(SeriesRow.study_id == snapshot.study_id)
    unchanged = (
        StudyRow.id == snapshot.study_id,
        StudyRow.last_received_at == snapshot.last_received_at,
        StudyRow.awaits_assembly,
        count.scalar_subquery() == snapshot.instance_count,
    )
    values = {"awaits_assembly": False, "analysis_requested_at": None}
    return _changed_one(session.execute(update(StudyRow).where(*unchanged).values(**values)))


def _newest_job(session: Session, study_id: int) -> JobRow | None:
    jobs = select(JobRow).where(JobRow.study_id == study_id)
    return session.scalar(jobs.order_by(JobRow.revision.desc()).limit(1))


def _is_same_answer(newest: JobRow, result: Selection | Refusal) -> bool:
    """Tell whether a job is bound to the very same instances, or was refused for the same reason."""
    known = SELECTION.validate_python(newest.selection)
    if isinstance(result, Refusal):
        return not known.selected and newest.reason == result.reason
    return (known.selected, known.mode, known.flags) == (result.selected, result.mode, result.flags)


def _new_job(job_id: str, answer: _Answer, revision: int, now: datetime) -> JobRow:
    result = answer.result
    job = JobRow(
        id=job_id,
        study_id=answer.snapshot.study_id,
        revision=revision,
        state=JobState.QUEUED,
        selection=SELECTION.dump_python(_selection(result), mode="json"),
        created_at=now,
        updated_at=now,
    )
    if isinstance(result, Refusal):
        job.state, job.outcome = JobState.UNSUITABLE, Outcome.UNSUITABLE
        job.reason, job.message, job.finished_at = result.reason, result.message, now
    return job


def _selection(result: Selection | Refusal) -> Selection:
    if isinstance(result, Refusal):
        return Selection(AnalysisMode.FULL, (), result.verdicts)
    return result


def _mode(result: Selection | Refusal) -> str:
    return "unsuitable" if isinstance(result, Refusal) else result.mode.value


def _stage_of(job: JobRow) -> Stage:
    return {**WAITING_FOR_STAGE, **RUNNING_STAGE}[JobState(job.state)]


def _changed_one(result: object) -> bool:
    return isinstance(result, CursorResult) and result.rowcount == 1
