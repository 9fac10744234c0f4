"""From received studies to jobs on the queue; the database is the truth, the broker a doorbell."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from celery import Celery
from prometheus_client import Counter
from sqlalchemy import select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from core import job_records, notice_records
from core.broker import ring, ring_for_notice
from core.clock import Clock
from core.database import JobRow, Sessions, StudyRow
from core.errors import InvalidInput
from core.job import RUNNING_STAGE, WAITING_FOR_STAGE, JobState, Lane, Outcome, Stage
from core.job_records import SELECTION
from core.logs import logger, pseudonym
from core.settings import AssemblySettings
from core.study import AnalysisMode, Selection
from core.study_store import StudyStore
from core.unheard_jobs import due_jobs
from service.alerts import Alerts
from service.selection.assembly import Refusal, is_due, select_series
from service.selection.snapshots import (
    Snapshot,
    close_assembly,
    keep_assembly,
    load_study,
    waiting_snapshots,
)
from service.selection.study_assembly import describe

JOBS_CREATED = Counter("metserve_jobs_created", "Jobs, by the mode of analysis or 'unsuitable'.", ["mode"])
COORDINATOR_ERRORS = Counter("metserve_coordinator_errors", "Coordinator steps that failed.", ["step"])


WORK_KEPT_S = 3600.0
"""Artefacts of an ended job stay so long: a worker that lost it may still write to them."""

FAILED_STUDY_RESTS_S = 60.0
"""A study that could not be assembled is tried again after so long, or when it changes."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What assembly made of a snapshot."""

    snapshot: Snapshot
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
        self._failed_at: dict[Snapshot, datetime] = {}

    def run(self, stop: threading.Event) -> None:
        """Do every step again and again until told to stop; a step that fails does not end the loop."""
        while not stop.is_set():
            for step in self._steps():
                self._attempt(step)
            stop.wait(self._settings.poll_interval_s)

    def assemble_due(self) -> None:
        """Answer every study that is complete, or has waited long enough, with a job."""
        with self._read_sessions() as session:
            snapshots = waiting_snapshots(session)
        waiting = {snapshot.study_id for snapshot in snapshots}
        self._answers = {study: answer for study, answer in self._answers.items() if study in waiting}
        self._failed_at = {known: at for known, at in self._failed_at.items() if known in snapshots}
        for snapshot in snapshots:
            if self._may_be_due(snapshot) and not self._rests(snapshot):
                self._attempt_answer(snapshot)

    def requeue(self) -> None:
        """Ring for every job that waits and was not announced, or not heard."""
        now = self._clock()
        with self._read_sessions() as session:
            due = due_jobs(session, now=now, requeue_after_s=self._settings.requeue_after_s)
        for job in due:
            try:
                ring(self._broker, _stage_of(job), job.id, Lane(job.lane))
            except Exception as error:  # noqa: BLE001 - transports raise their own; the job stays due
                logger().warning("broker unreachable; jobs wait", error=type(error).__name__)
                return
            with self._sessions.begin() as session:
                unchanged = (JobRow.id == job.id, JobRow.state == job.state)
                session.execute(update(JobRow).where(*unchanged).values(enqueued_at=now))

    def ring_for_notices(self) -> None:
        """Ring for every notice that waits; a message too many costs a query."""
        now = self._clock()
        with self._read_sessions() as session:
            due = notice_records.to_ring(session, now)
        for job_id in due:
            try:
                ring_for_notice(self._broker, job_id)
            except Exception as error:  # noqa: BLE001 - as in requeue
                logger().warning("broker unreachable; notices wait", error=type(error).__name__)
                return
            with self._sessions.begin() as session:
                again_s = self._settings.requeue_after_s
                notice_records.record_ring(session, job_id, ring_again_after_s=again_s, now=now)

    def raise_alerts(self) -> None:
        """Tell about parked jobs, given-up deliveries and notices that cannot be made."""
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

    def _steps(self) -> tuple[Callable[[], None], ...]:
        return (self.assemble_due, self.requeue, self.ring_for_notices, self.raise_alerts, self.discard_work)

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:  # noqa: BLE001 - the loop outlives a lost database
            COORDINATOR_ERRORS.labels(step.__name__).inc()
            logger().exception("a coordinator step failed", step=step.__name__)

    def _may_be_due(self, snapshot: Snapshot) -> bool:
        """Spare studies that still arrive the reading of their headers."""
        earliest_s = min(self._settings.quiet_period_s, self._settings.incomplete_quiet_period_s)
        return snapshot.is_requested or snapshot.quiet_s(self._clock()) >= earliest_s

    def _rests(self, snapshot: Snapshot) -> bool:
        failed_at = self._failed_at.get(snapshot)
        return failed_at is not None and self._clock() < failed_at + timedelta(seconds=FAILED_STUDY_RESTS_S)

    def _attempt_answer(self, snapshot: Snapshot) -> None:
        """Answer a study; one that cannot be answered must not keep the others waiting."""
        try:
            self._answer_if_due(snapshot)
        except Exception:  # noqa: BLE001 - whatever is wrong with this study, or with the database now
            self._failed_at[snapshot] = self._clock()
            COORDINATOR_ERRORS.labels("answer_study").inc()
            logger().exception("a study cannot be assembled", study=pseudonym(snapshot.study_instance_uid))

    def _answer_if_due(self, snapshot: Snapshot) -> None:
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

    def _assemble(self, snapshot: Snapshot) -> _Answer:
        """Judge a study's series, and let people see the verdicts before there is a job."""
        with self._read_sessions() as session:
            result = select_series(load_study(session, snapshot))
        with self._sessions.begin() as session:
            keep_assembly(session, snapshot, describe(result, self._settings, self._clock()))
        return _Answer(snapshot, result)

    def _create_job(self, session: Session, answer: _Answer) -> None:
        """Answer a study, unless something arrived since the snapshot."""
        now = self._clock()
        if not close_assembly(session, answer.snapshot):
            return
        newest = _newest_job(session, answer.snapshot.study_id)
        if newest and not answer.snapshot.is_requested and _is_same_answer(newest, answer.result):
            return
        job = _new_job(self._new_job_id(), answer, newest.revision + 1 if newest else 1, now)
        job.lane = session.get_one(StudyRow, answer.snapshot.study_id).lane
        job_records.supersede_unfinished(session, answer.snapshot.study_id, now)
        session.add(job)
        if job.state == JobState.UNSUITABLE:
            session.flush()
            notice_records.require(session, job.id, now)
        JOBS_CREATED.labels(_mode(answer.result)).inc()
        logger().info(
            "study assembled",
            job_id=job.id,
            study=pseudonym(answer.snapshot.study_instance_uid),
            revision=job.revision,
            mode=_mode(answer.result),
        )


def request_analysis(
    session: Session, study_instance_uid: str, now: datetime, lane: Lane | None = None
) -> None:
    """Ask for a study to be analysed now, without waiting, and again if it was analysed before.

    Parameters
    ----------
    lane
        Of this and the study's later jobs; None: as before.

    Raises
    ------
    InvalidInput
        No instance of this study was received.
    """
    values: dict[str, object] = {"analysis_requested_at": now, "awaits_assembly": True}
    if lane is not None:
        values["lane"] = lane.value
    result = session.execute(
        update(StudyRow).where(StudyRow.study_instance_uid == study_instance_uid).values(**values)
    )
    if not _changed_one(result):
        raise InvalidInput("no instance of this study was received")


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
