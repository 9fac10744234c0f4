"""Notices: a study that was not analysed comes back with an object that says why."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from celery import Celery
from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import notice_records
from core.clock import Clock
from core.database import InstanceRow, JobRow, SeriesRow, Sessions
from core.errors import Defect, LeaseLost, Transient, UnsuitableStudy
from core.job_records import ResultFile
from core.lesion import ModelIdentity
from core.logs import logger
from core.notice_records import NoticeLease
from core.provenance import Provenance
from core.study_store import StudyStore, atomic_file
from core.tasks import NOTICE_TASK
from worker.encoding.captures.notice import encode_notice
from worker.encoding.codes import SiteCodes
from worker.encoding.part10 import to_bytes
from worker.stage_context import read_instance

T = TypeVar("T")

SOURCES_TRIED = 5
"""Instances whose header is tried; the study may be unsuitable because some are damaged."""

NoticeEncoder = Callable[[Dataset, str, str, Provenance, SiteCodes], Dataset]
"""Header of any instance of the study, reason, message -> the notice, checked."""


@dataclass(frozen=True, slots=True)
class _Assignment:
    """What a notice is made from; ``sources`` are paths relative to the store, MR first."""

    reason: str
    message: str
    provenance: Provenance
    sources: tuple[str, ...]


@dataclass(frozen=True)
class NoticeOffice:
    """Makes the notices of jobs; what becomes of one never changes its job.

    Parameters
    ----------
    model
        The released model set: it would have analysed the study.
    software_version
        metserve's own.
    codes
        The site's.
    lease_s
        A notice that is not made within this time is taken for lost with its worker.
    encode
        Writes and checks the object.
    """

    sessions: Sessions
    store: StudyStore
    clock: Clock
    model: ModelIdentity
    software_version: str
    codes: SiteCodes
    lease_s: float
    encode: NoticeEncoder = encode_notice

    def run(self, job_id: str) -> None:
        """Make a job's notice; a message for one already made is dropped."""
        lease = self._transaction(
            lambda session: notice_records.claim(session, job_id, lease_s=self.lease_s, now=self.clock())
        )
        if lease is None:
            logger().info("no notice to make for this message", job_id=job_id)
            return
        try:
            self._conclude(lease)
        except LeaseLost:
            logger().warning("notice taken over by another worker", job_id=job_id, attempt=lease.attempt)

    def _conclude(self, lease: NoticeLease) -> None:
        try:
            file = self._make(lease)
            self._transaction(lambda s: notice_records.publish(s, lease, file, self.clock()))
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 - the one place where errors become outcomes
            self._fail(lease, error)
        else:
            logger().info("notice made", job_id=lease.job_id)

    def _make(self, lease: NoticeLease) -> ResultFile:
        assignment = self._transaction(lambda session: self._assignment(session, lease.job_id))
        notice = self.encode(
            self._source(assignment.sources),
            assignment.reason,
            assignment.message,
            assignment.provenance,
            self.codes,
        )
        folder = self.store.results_folder(lease.job_id, lease.attempt)
        return self._write(notice, folder / "notice.dcm")

    def _assignment(self, session: Session, job_id: str) -> _Assignment:
        job = session.get_one(JobRow, job_id)
        paths = (
            select(InstanceRow.path)
            .join(InstanceRow.series)
            .where(SeriesRow.study_id == job.study_id)
            .order_by(SeriesRow.modality != "MR", InstanceRow.id)
            .limit(SOURCES_TRIED)
        )
        provenance = Provenance(
            study_instance_uid=job.study.study_instance_uid,
            revision=job.revision,
            model=self.model,
            software_version=self.software_version,
            created_at=job.created_at,
        )
        return _Assignment(job.reason, job.message, provenance, tuple(session.scalars(paths)))

    def _source(self, paths: tuple[str, ...]) -> Dataset:
        """Read the first header that can be read."""
        for path in paths:
            try:
                return read_instance(self.store.resolve(path), with_pixels=False)
            except UnsuitableStudy as error:
                logger().info("a damaged instance says nothing of its study", error=error.message)
        raise Transient(f"none of {len(paths)} instances can be read; expected one with a readable header")

    def _write(self, notice: Dataset, path: Path) -> ResultFile:
        content = to_bytes(notice)
        with atomic_file(path) as temporary:
            temporary.write_bytes(content)
        return ResultFile(
            path=self.store.relative(path),
            sop_instance_uid=str(notice.SOPInstanceUID),
            sop_class_uid=str(notice.SOPClassUID),
            sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content),
        )

    def _fail(self, lease: NoticeLease, error: Exception) -> None:
        retry = not isinstance(error, Defect)
        log = logger().bind(job_id=lease.job_id, attempt=lease.attempt)
        log.error("notice failed", error_class=type(error).__name__, exc_info=error)
        given_up = self._transaction(
            lambda s: notice_records.record_failure(s, lease, error, retry=retry, now=self.clock())
        )
        if given_up:
            log.error("notice given up", error_class=type(error).__name__)

    def _transaction(self, work: Callable[[Session], T]) -> T:
        with self.sessions.begin() as session:
            return work(session)


def register_notice_task(app: Celery, office: Callable[[], NoticeOffice]) -> None:
    """Give the Celery app the task that makes notices.

    Parameters
    ----------
    office
        Returns this process' office; called in the worker child, after the fork.
    """

    @app.task(name=NOTICE_TASK)
    def run(job_id: str) -> None:
        office().run(job_id)
