from datetime import UTC, datetime, timedelta

import pytest

from core import notice_records
from core.database import JobRow, NoticeRow, Sessions, StudyRow
from core.errors import Defect, LeaseLost, Transient
from core.job import MAX_ATTEMPTS, JobState
from core.job_records import ResultFile
from core.notice_records import NoticeLease, NoticeState

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE_S = 60.0
RING_AGAIN_S = 300.0
FILE = ResultFile("results/a/1/notice.dcm", "2.25.1", "1.2.840.10008.5.1.4.1.1.7.4", "00", 10)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def _an_unsuitable_job(sessions: Sessions) -> None:
    with sessions.begin() as session:
        study = StudyRow(study_instance_uid="1.2.3", first_received_at=NOON, last_received_at=NOON)
        session.add(job("a", study, 1))
        session.flush()
        notice_records.require(session, "a", NOON)


def job(job_id: str, study: StudyRow, revision: int) -> JobRow:
    return JobRow(
        id=job_id,
        study=study,
        revision=revision,
        state=JobState.UNSUITABLE,
        selection={},
        created_at=NOON,
        updated_at=NOON,
    )


def claim(sessions: Sessions, now: datetime = NOON) -> NoticeLease | None:
    with sessions.begin() as session:
        return notice_records.claim(session, "a", lease_s=LEASE_S, now=now)


def held(lease: NoticeLease | None) -> NoticeLease:
    assert lease is not None
    return lease


def publish(sessions: Sessions, lease: NoticeLease) -> None:
    with sessions.begin() as session:
        notice_records.publish(session, lease, FILE, NOON)


def fail(sessions: Sessions, lease: NoticeLease, error: Exception, now: datetime = NOON) -> bool:
    with sessions.begin() as session:
        retry = not isinstance(error, Defect)
        return notice_records.record_failure(session, lease, error, retry=retry, now=now)


def to_ring(sessions: Sessions, now: datetime) -> list[str]:
    with sessions() as session:
        return notice_records.to_ring(session, now)


def ring(sessions: Sessions, now: datetime) -> None:
    with sessions.begin() as session:
        notice_records.record_ring(session, "a", ring_again_after_s=RING_AGAIN_S, now=now)


def notice(sessions: Sessions) -> NoticeRow:
    with sessions() as session:
        return session.query(NoticeRow).one()


def test_of_two_workers_one_makes_the_notice(sessions: Sessions) -> None:
    assert claim(sessions) == NoticeLease("a", 1)
    assert claim(sessions) is None


def test_a_made_notice_is_a_result_of_its_job_which_stays_unsuitable(sessions: Sessions) -> None:
    publish(sessions, held(claim(sessions)))
    with sessions() as session:
        job_row = session.get_one(JobRow, "a")
        assert job_row.results["notice"]["sop_instance_uid"] == "2.25.1"
        assert job_row.state == JobState.UNSUITABLE
    assert notice(sessions).state == NoticeState.MADE
    assert claim(sessions, later(LEASE_S + 1)) is None


def test_a_dead_workers_notice_is_taken_over_and_the_old_attempt_writes_nothing(sessions: Sessions) -> None:
    first = held(claim(sessions))
    assert claim(sessions, later(LEASE_S - 1)) is None
    second = held(claim(sessions, later(LEASE_S + 1)))
    with pytest.raises(LeaseLost):
        publish(sessions, first)
    with pytest.raises(LeaseLost):
        fail(sessions, first, Transient("disk full"))
    publish(sessions, second)


def test_a_failed_notice_rests_and_is_tried_again(sessions: Sessions) -> None:
    assert not fail(sessions, held(claim(sessions)), Transient("disk full"))
    assert claim(sessions) is None
    assert to_ring(sessions, NOON) == []
    assert to_ring(sessions, later(notice_records.RETRY_PAUSE_S)) == ["a"]
    assert claim(sessions, later(notice_records.RETRY_PAUSE_S)) is not None


def test_after_three_attempts_a_notice_is_given_up(sessions: Sessions) -> None:
    outcomes = [
        fail(sessions, held(claim(sessions, later(100 * n))), Transient("disk full"), later(100 * n))
        for n in range(MAX_ATTEMPTS)
    ]
    assert outcomes == [False, False, True]
    assert (notice(sessions).state, notice(sessions).last_error) == (
        NoticeState.FAILED,
        "Transient: disk full",
    )


def test_a_defect_gives_a_notice_up_at_once(sessions: Sessions) -> None:
    assert fail(sessions, held(claim(sessions)), Defect("another page was read back"))


def test_a_notice_that_ends_its_worker_each_time_is_given_up(sessions: Sessions) -> None:
    for n in range(MAX_ATTEMPTS):
        held(claim(sessions, later(100 * n)))
    assert claim(sessions, later(1000)) is None
    assert notice(sessions).state == NoticeState.FAILED
    assert "ended its worker 3 times" in notice(sessions).last_error


def test_a_notice_of_an_older_revision_is_not_made(sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.add(job("b", session.get_one(JobRow, "a").study, 2))
    assert claim(sessions) is None
    assert notice(sessions).state == NoticeState.OVERTAKEN
    assert to_ring(sessions, later(1e6)) == []


def test_a_message_is_sent_at_once_and_again_when_nobody_takes_it(sessions: Sessions) -> None:
    assert to_ring(sessions, NOON) == ["a"]
    ring(sessions, NOON)
    assert to_ring(sessions, later(RING_AGAIN_S - 1)) == []
    assert to_ring(sessions, later(RING_AGAIN_S)) == ["a"]


def test_messages_become_rarer_while_no_worker_is_there(sessions: Sessions) -> None:
    rings, now = 0, NOON
    while now < later(86_400):
        if to_ring(sessions, now):
            ring(sessions, now)
            rings += 1
        now += timedelta(seconds=RING_AGAIN_S)
    assert rings == 10


def test_an_unknown_job_has_no_notice_to_make(sessions: Sessions) -> None:
    with sessions.begin() as session:
        assert notice_records.claim(session, "no such job", lease_s=LEASE_S, now=NOON) is None
