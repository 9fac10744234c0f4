"""The shell around the pipeline: lease -> load -> analyse -> save -> hand on; errors to outcomes.

A stage reads the artefacts of the stage before it and writes its own under work/<job>/<attempt>/.
Nothing it writes counts until the database names the attempt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from celery import Celery
from sqlalchemy.orm import Session

from core import job_records, notice_records
from core.broker import ring
from core.clock import Clock
from core.database import JobRow, Sessions
from core.errors import Defect, LeaseLost, Stopping, UnsuitableStudy
from core.job import STAGES, WAITING_FOR_STAGE, JobState, Lane, Stage
from core.job_records import SELECTION, Lease
from core.logs import logger
from core.study_store import StudyStore
from core.tasks import TASK_NAMES
from worker.heartbeat import Heartbeat
from worker.stage_context import StageContext, StageFunction, StageResult

T = TypeVar("T")


@dataclass(frozen=True)
class Shell:
    """Runs one stage of one job, whatever happens in it.

    Parameters
    ----------
    stages
        The work itself, by stage.
    owner
        Name of this worker process in leases.
    lease_s
        How long a lease lasts without being renewed.
    is_stopping
        Tells whether this process is to end; a stage under way is then given back.
    """

    sessions: Sessions
    store: StudyStore
    broker: Celery
    clock: Clock
    stages: Mapping[Stage, StageFunction]
    owner: str
    lease_s: float
    is_stopping: Callable[[], bool] = lambda: False

    def run(self, stage: Stage, job_id: str) -> None:
        """Take the stage, do it, record how it ended; a message for work already done is dropped."""
        lease = self._transaction(
            lambda session: job_records.claim(
                session, job_id, stage, owner=self.owner, lease_s=self.lease_s, now=self.clock()
            )
        )
        log = logger().bind(job_id=job_id, stage=stage.value)
        if lease is None:
            log.info("nothing to do for this message")
            return
        try:
            self._conclude(lease)
        except LeaseLost:
            log.warning("lease lost: another worker holds the job; work dropped", attempt=lease.attempt)

    def _conclude(self, lease: Lease) -> None:
        """Do the stage; whatever becomes of it is written down, while the lease is held."""
        try:
            self._work(lease)
        except LeaseLost:
            raise
        except Stopping:
            logger().info("stage given back: this worker stops", job_id=lease.job_id)
            self._transaction(lambda s: job_records.hand_back(s, lease, self.clock()))
        except UnsuitableStudy as error:
            logger().info("study is unsuitable", job_id=lease.job_id, reason=error.reason.value)
            self._end_unsuitable(lease, error)
        except Exception as error:  # noqa: BLE001 - the one place where errors become outcomes
            self._fail(lease, error)

    def _work(self, lease: Lease) -> None:
        context = self._transaction(lambda session: self._context(session, lease))
        started = time.perf_counter()
        with Heartbeat(self.sessions, lease, self.lease_s, self.clock, self.is_stopping) as heartbeat:
            result = self.stages[lease.stage](context, heartbeat.report)
        seconds = {lease.stage.value: round(time.perf_counter() - started, 3), **result.seconds}
        self._transaction(lambda session: self._record(session, lease, result, seconds))
        logger().info("stage finished", job_id=lease.job_id, stage=lease.stage.value, seconds=seconds)
        self._hand_on(lease)

    def _context(self, session: Session, lease: Lease) -> StageContext:
        job = session.get_one(JobRow, lease.job_id)
        return StageContext(
            job_id=job.id,
            study_instance_uid=job.study.study_instance_uid,
            revision=job.revision,
            created_at=job.created_at,
            selection=SELECTION.validate_python(job.selection),
            instance_paths=self._instance_paths(job),
            artefacts={
                Stage(name): self.store.work_folder(job.id, fence) for name, fence in job.artefacts.items()
            },
            work_folder=self.store.work_folder(job.id, lease.fence),
            results_folder=self.store.results_folder(job.id, lease.fence),
            store=self.store,
            predecessor=job_records.superseded_report(session, job),
            superseded=job_records.superseded_objects(session, job),
        )

    def _instance_paths(self, job: JobRow) -> dict[str, str]:
        return {
            instance.sop_instance_uid: instance.path
            for series in job.study.series
            for instance in series.instances
        }

    def _record(
        self, session: Session, lease: Lease, result: StageResult, seconds: Mapping[str, float]
    ) -> None:
        now = self.clock()
        if result.report is None:
            job_records.finish_stage(session, lease, seconds=seconds, now=now)
            return
        job_records.publish(
            session, lease, report=result.report, results=result.files, seconds=seconds, now=now
        )

    def _hand_on(self, lease: Lease) -> None:
        following = WAITING_FOR_STAGE.get(STAGES[lease.stage].done)
        if following is None:
            self.store.discard_work(lease.job_id)
            return
        try:
            lane = self._transaction(lambda s: Lane(s.get_one(JobRow, lease.job_id).lane))
            ring(self.broker, following, lease.job_id, lane)
        except Exception as error:  # noqa: BLE001 - the broker is a doorbell: the coordinator rings again
            logger().warning("broker unreachable; the job waits", job_id=lease.job_id, error=str(error))
            return
        self._transaction(lambda session: self._mark_enqueued(session, lease.job_id))

    def _mark_enqueued(self, session: Session, job_id: str) -> None:
        job = session.get_one(JobRow, job_id, with_for_update=True)
        if JobState(job.state) in WAITING_FOR_STAGE:
            job.enqueued_at = self.clock()

    def _end_unsuitable(self, lease: Lease, error: UnsuitableStudy) -> None:
        def end(session: Session) -> None:
            now = self.clock()
            job_records.end_unsuitable(session, lease, error, now)
            notice_records.require(session, lease.job_id, now)

        self._transaction(end)
        self.store.discard_work(lease.job_id)

    def _fail(self, lease: Lease, error: Exception) -> None:
        retry = not isinstance(error, Defect)
        log = logger().bind(job_id=lease.job_id, stage=lease.stage.value, attempt=lease.attempt)
        log.error("stage failed", error_class=type(error).__name__, exc_info=error)
        parked = self._transaction(
            lambda s: job_records.fail_stage(s, lease, error, retry=retry, now=self.clock())
        )
        if parked:
            log.error("job parked", error_class=type(error).__name__)
            self.store.discard_work(lease.job_id)  # a replay begins with the first stage

    def _transaction(self, work: Callable[[Session], T]) -> T:
        with self.sessions.begin() as session:
            return work(session)


def register_tasks(app: Celery, shell: Callable[[], Shell]) -> None:
    """Give the Celery app one task a stage.

    Parameters
    ----------
    app
        From ``core.broker.open_broker``.
    shell
        Returns this process' shell; called in the worker child, after the fork.
    """
    for stage in Stage:
        _register(app, stage, shell)


def _register(app: Celery, stage: Stage, shell: Callable[[], Shell]) -> None:
    @app.task(name=TASK_NAMES[stage])
    def run(job_id: str) -> None:
        shell().run(stage, job_id)
