from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from core.database import JobRow, Sessions, StudyRow
from core.job import JobState
from core.unheard_jobs import LONGEST_PAUSE, due_jobs

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
REQUEUE_AFTER_S = 300

WAITING = (JobState.QUEUED, JobState.PREPARED, JobState.INFERRED)
RUNNING = (JobState.PREPARING, JobState.INFERRING, JobState.ENCODING)
DONE = (JobState.PREPARED, JobState.INFERRED, JobState.ENCODED)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def study_id(sessions: Sessions) -> int:
    with sessions.begin() as session:
        study = StudyRow(study_instance_uid="1.2.3", first_received_at=NOON, last_received_at=NOON)
        session.add(study)
        session.flush()
        return study.id


@pytest.fixture
def jobs(sessions: Sessions, study_id: int) -> "Jobs":
    return Jobs(sessions, study_id)


class Jobs:
    """Jobs as workers and coordinator leave them."""

    def __init__(self, sessions: Sessions, study_id: int) -> None:
        self._sessions = sessions
        self._study_id = study_id

    def add(self, job_id: str, state: JobState, enqueued_s: float | None, **fields: object) -> None:
        """Add a job that was announced so many seconds after noon."""
        values: Mapping[str, object] = {"created_at": NOON, "updated_at": NOON} | fields
        with self._sessions.begin() as session:
            job = JobRow(id=job_id, study_id=self._study_id, state=state, selection={}, **values)
            job.revision = session.query(JobRow).count() + 1
            job.enqueued_at = None if enqueued_s is None else later(enqueued_s)
            session.add(job)

    def due(self, seconds: float) -> list[str]:
        with self._sessions() as session:
            found = due_jobs(session, now=later(seconds), requeue_after_s=REQUEUE_AFTER_S)
            return sorted(job.id for job in found)


@pytest.mark.parametrize("state", WAITING)
def test_a_job_that_was_never_announced_is_due(jobs: Jobs, state: JobState) -> None:
    jobs.add("new", state, None)
    assert jobs.due(0) == ["new"]


def test_a_job_that_rests_after_a_failure_is_not_due_yet(jobs: Jobs) -> None:
    jobs.add("failed", JobState.QUEUED, None, not_before=later(10))
    assert jobs.due(9) == []
    assert jobs.due(10) == ["failed"]


@pytest.mark.parametrize("state", WAITING)
def test_when_nothing_runs_all_messages_may_be_lost(jobs: Jobs, state: JobState) -> None:
    for name in ("a", "b"):
        jobs.add(name, state, 0)
    assert jobs.due(REQUEUE_AFTER_S) == []
    assert jobs.due(REQUEUE_AFTER_S + 1) == ["a", "b"]


@pytest.mark.parametrize(("waiting", "running"), [*zip(WAITING, RUNNING, strict=True)])
def test_jobs_behind_one_that_runs_are_a_backlog(jobs: Jobs, waiting: JobState, running: JobState) -> None:
    jobs.add("first", running, 0, lease_until=later(3600))
    jobs.add("behind", waiting, 1)
    assert jobs.due(1800) == []


def test_a_worker_of_another_stage_says_nothing_about_the_queue(jobs: Jobs) -> None:
    jobs.add("encoding", JobState.ENCODING, 0, lease_until=later(3600))
    jobs.add("waits", JobState.QUEUED, 0)
    assert jobs.due(1800) == ["waits"]


@pytest.mark.parametrize(("waiting", "done"), [*zip(WAITING, DONE, strict=True)])
def test_jobs_behind_one_that_just_ended_are_a_backlog(jobs: Jobs, waiting: JobState, done: JobState) -> None:
    jobs.add("ended", done, 1799, updated_at=later(1799))
    jobs.add("behind", waiting, 0)
    assert jobs.due(1800) == []
    assert "behind" in jobs.due(1800 + REQUEUE_AFTER_S)


def test_jobs_behind_one_the_next_stage_took_at_once_are_a_backlog(jobs: Jobs) -> None:
    jobs.add("prepared just now", JobState.INFERRING, 1799, lease_until=later(3600))
    jobs.add("behind", JobState.QUEUED, 0)
    assert jobs.due(1800) == []
    assert jobs.due(1800 + REQUEUE_AFTER_S) == ["behind"]


def test_a_job_overtaken_by_one_announced_later_lost_its_message(jobs: Jobs) -> None:
    jobs.add("lost", JobState.QUEUED, 0)
    jobs.add("newer", JobState.PREPARING, 200, lease_until=later(3600))
    jobs.add("behind", JobState.QUEUED, 250)
    assert jobs.due(600) == ["lost"]


def test_a_running_job_is_due_once_its_worker_died(jobs: Jobs) -> None:
    jobs.add("running", JobState.PREPARING, 0, lease_until=later(60))
    assert jobs.due(60) == []
    assert jobs.due(61) == ["running"]


def test_a_job_whose_worker_died_is_announced_once_in_a_while(jobs: Jobs) -> None:
    jobs.add("announced again", JobState.PREPARING, 61, lease_until=later(60))
    assert jobs.due(62) == []
    assert jobs.due(62 + REQUEUE_AFTER_S) == ["announced again"]


def test_a_dead_worker_keeps_no_job_in_line(jobs: Jobs) -> None:
    jobs.add("died", JobState.PREPARING, 0, lease_until=later(60))
    jobs.add("waits", JobState.QUEUED, 1)
    assert jobs.due(REQUEUE_AFTER_S + 2) == ["died", "waits"]


def test_the_pauses_between_announcements_double(jobs: Jobs) -> None:
    jobs.add("announced again", JobState.QUEUED, 600)  # it waits since noon
    assert jobs.due(600 + REQUEUE_AFTER_S + 1) == []
    assert jobs.due(1200) == ["announced again"]


def test_the_pauses_do_not_double_for_ever(jobs: Jobs) -> None:
    a_day, longest = 86_400, LONGEST_PAUSE * REQUEUE_AFTER_S
    jobs.add("waits since yesterday", JobState.QUEUED, a_day)
    assert jobs.due(a_day + longest - 1) == []
    assert jobs.due(a_day + longest) == ["waits since yesterday"]


def test_jobs_that_rest_do_not_take_the_places_of_others(jobs: Jobs) -> None:
    for number in range(101):
        jobs.add(f"rests {number}", JobState.QUEUED, 600)
    jobs.add("new", JobState.QUEUED, None, created_at=later(601), updated_at=later(601))
    assert jobs.due(600 + REQUEUE_AFTER_S + 1) == ["new"]
