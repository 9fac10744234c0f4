"""The canary: a study with a known answer, sent to our own receiver as a peer would, and judged.

What was sent is read from the database, so that a restart forgets nothing. Nothing here waits for an
analysis: each round looks how far it got.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.clock import Clock
from core.database import (
    InstanceRow,
    JobRow,
    LesionRow,
    NoticeRow,
    ResultObjectRow,
    SeriesRow,
    Sessions,
    StudyRow,
)
from core.errors import Transient
from core.job import JobState
from core.logs import logger, pseudonym
from core.study_store import StudyStore
from service.delivery.canaries import is_canary_row
from service.delivery.push_report import PushReport, Verdict
from service.delivery.results import ResultObject
from service.upkeep.canary_study import CanaryStudy, write_copy
from service.upkeep.canary_verdict import what_is_wrong
from service.upkeep.conditions import Condition
from service.upkeep.retention import Retention

KEY = "canary"

JUDGED = frozenset({JobState.DELIVERED, JobState.UNSUITABLE, JobState.PARKED, JobState.SUPERSEDED})
"""States that a canary's job does not leave by itself."""

UNSENT_GRACE_S = 300.0
"""A receiver that is started anew is back within that; only then is a canary that cannot be sent told."""

Push = Callable[[Sequence[ResultObject]], PushReport]
"""Sends a canary to our receiver."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, and how late is too late; seconds."""

    interval_s: float
    late_s: float


@dataclass(frozen=True, slots=True)
class SentCanary:
    """A canary the receiver has.

    Parameters
    ----------
    wrong
        What is wrong with its results; empty: nothing; None: there are none yet.
    """

    study_id: int
    study_instance_uid: str
    sent_at: datetime
    last_received_at: datetime
    job_ids: tuple[str, ...]
    state: str
    wrong: str | None
    is_purged: bool


class Canary:
    """Sends canaries, judges them and clears them away.

    Parameters
    ----------
    push
        Sends images to our own receiver.
    new_token
        Returns a random text each time.
    """

    def __init__(
        self,
        study: CanaryStudy,
        push: Push,
        retention: Retention,
        sessions: Sessions,
        read_sessions: Sessions,
        store: StudyStore,
        clock: Clock,
        pace: Pace,
        new_token: Callable[[], str],
    ) -> None:
        self._study = study
        self._push = push
        self._retention = retention
        self._sessions = sessions
        self._read_sessions = read_sessions
        self._store = store
        self._clock = clock
        self._pace = pace
        self._new_token = new_token
        self._unsent: tuple[datetime, str] | None = None

    def send_due(self) -> None:
        """Clear away what was judged, and send the next canary when its time has come.

        While one is under way no other is sent: a queue that stands is not made longer.

        Raises
        ------
        Transient
            The receiver did not take it; it is tried again in the next round.
        """
        sent = self.sent()
        self._clear_away(sent)
        if sent and sent[0].wrong is None:
            return
        if sent and self._clock() - sent[0].sent_at < timedelta(seconds=self._pace.interval_s):
            return
        self._send()

    def look(self) -> Iterator[Condition]:
        """Return the condition ``canary`` when it cannot be sent, is late, or is wrong."""
        reason = self._reason(self.sent())
        if reason:
            yield Condition(KEY, reason)

    def sent(self) -> list[SentCanary]:
        """Return the canaries there are, the newest first."""
        newest_first = select(StudyRow).where(is_canary_row()).order_by(StudyRow.id.desc())
        with self._read_sessions() as session:
            return [self._seen(study) for study in session.scalars(newest_first)]

    def _seen(self, study: StudyRow) -> SentCanary:
        job = study.jobs[-1] if study.jobs else None
        judged = job is not None and job.state in JUDGED and not study.awaits_assembly
        return SentCanary(
            study_id=study.id,
            study_instance_uid=study.study_instance_uid,
            sent_at=study.first_received_at,
            last_received_at=study.last_received_at,
            job_ids=tuple(job.id for job in study.jobs),
            state="received" if job is None else job.state,
            wrong=what_is_wrong(job, self._study.lesions) if job is not None and judged else None,
            is_purged=study.purged_at is not None,
        )

    def _reason(self, sent: Sequence[SentCanary]) -> str:
        now = self._clock()
        if self._unsent is not None and now - self._unsent[0] >= timedelta(seconds=UNSENT_GRACE_S):
            return f"cannot be sent: {self._unsent[1]}"
        newest = sent[0] if sent else None
        late = timedelta(seconds=self._pace.late_s)
        if newest is not None and newest.wrong is None and now - newest.last_received_at >= late:
            return f"is late: {newest.state} more than {self._pace.late_s:.0f} s after its last image"
        judged = next((one for one in sent if one.wrong is not None), None)
        return "" if judged is None else (judged.wrong or "")

    def _send(self) -> None:
        with tempfile.TemporaryDirectory(prefix="metserve-canary-") as folder:
            images = write_copy(self._study, Path(folder), self._new_token())
            report = self._push(images)
        if report.verdict is Verdict.STORED:
            self._unsent = None
            return
        first_line = report.message.partition(";")[0]
        since = self._clock() if self._unsent is None else self._unsent[0]
        self._unsent = (since, first_line)
        raise Transient(f"the canary was not taken: {first_line}")

    def _clear_away(self, sent: Sequence[SentCanary]) -> None:
        """Keep the newest that was judged, with its files if it is wrong; forget what is older."""
        judged = [one for one in sent if one.wrong is not None]
        if judged and not judged[0].wrong:
            self._purge(judged[0])
        for older in judged[1:]:
            self._purge(older)
            self._forget(older)

    def _purge(self, canary: SentCanary) -> None:
        if canary.is_purged:
            return
        for candidate in self._retention.candidates(0, canary.study_instance_uid):
            self._retention.purge(candidate, "canary")

    def _forget(self, canary: SentCanary) -> None:
        """Remove every record of a canary, so that lists show patients."""
        self._remove_folders(canary)
        with self._sessions.begin() as session:
            if any(job.deliveries for job in _jobs(session, canary)):
                return  # somebody sent it on by hand; that stays known
            for table in (ResultObjectRow, LesionRow, NoticeRow):
                session.execute(delete(table).where(table.job_id.in_(canary.job_ids)))
            session.execute(delete(JobRow).where(JobRow.id.in_(canary.job_ids)))
            series = select(SeriesRow.id).where(SeriesRow.study_id == canary.study_id)
            session.execute(delete(InstanceRow).where(InstanceRow.series_id.in_(series)))
            session.execute(delete(SeriesRow).where(SeriesRow.study_id == canary.study_id))
            session.execute(delete(StudyRow).where(StudyRow.id == canary.study_id))
        logger().info("canary forgotten", study=pseudonym(canary.study_instance_uid))

    def _remove_folders(self, canary: SentCanary) -> None:
        """Remove what a purge leaves: empty folders, and the artefacts of a parked job."""
        for job_id in canary.job_ids:
            self._store.discard_work(job_id)
            shutil.rmtree(self._store.root / "results" / job_id, ignore_errors=True)
        images = self._store.resolve(self._store.instance_path(canary.study_instance_uid, "", "")).parent
        with contextlib.suppress(OSError):  # one that is not empty stays
            images.rmdir()


def _jobs(session: Session, canary: SentCanary) -> list[JobRow]:
    return list(session.scalars(select(JobRow).where(JobRow.id.in_(canary.job_ids))))
