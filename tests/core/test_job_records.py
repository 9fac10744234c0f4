from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest

from core import job_records
from core.database import JobRow, LesionRow, Sessions, StudyRow
from core.errors import Defect, InvalidInput, LeaseLost, Transient, UnsuitableReason, UnsuitableStudy
from core.job import MAX_ATTEMPTS, JobState, Outcome, Stage
from core.job_records import Lease, ResultFile
from core.lesion import Axis, FindingsReport, Lesion, ModelIdentity
from core.results import ResultKind
from core.study import AnalysisMode
from core.unheard_jobs import due_jobs

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE_S = 60.0


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def job_id(sessions: Sessions) -> str:
    with sessions.begin() as session:
        study = StudyRow(study_instance_uid="1.2.3", first_received_at=NOON, last_received_at=NOON)
        selection = {"mode": "full", "selected": [], "verdicts": [], "flags": []}
        job = JobRow(
            id="a",
            study=study,
            revision=1,
            state=JobState.QUEUED,
            selection=selection,
            created_at=NOON,
            updated_at=NOON,
        )
        session.add(job)
    return "a"


def claim(
    sessions: Sessions, job_id: str, stage: Stage, owner: str = "w1", now: datetime = NOON
) -> Lease | None:
    with sessions.begin() as session:
        return job_records.claim(session, job_id, stage, owner=owner, lease_s=LEASE_S, now=now)


def held(lease: Lease | None) -> Lease:
    assert lease is not None
    return lease


def job_of(sessions: Sessions, job_id: str) -> JobRow:
    with sessions() as session:
        return session.get_one(JobRow, job_id)


def finish(sessions: Sessions, lease: Lease) -> None:
    with sessions.begin() as session:
        job_records.finish_stage(session, lease, seconds={lease.stage.value: 1.0}, now=NOON)


def report(*lesions: Lesion) -> FindingsReport:
    model = ModelIdentity("set", "1", "digest", "full")
    return FindingsReport(
        "1.2.3", "1.2.3.4", 1, AnalysisMode.FULL, 0.4, model, lesions, (), None, 1.4e6, "0.1.0"
    )


def lesion(number: int) -> Lesion:
    axis = Axis((0, 0, 0), (5, 0, 0), 5.0)
    return Lesion(
        number,
        f"BM-{number:02}",
        f"2.25.{number}",
        60.0,
        65.0,
        (1, 2, 3),
        (0, 0, 0),
        (5, 5, 5),
        5.5,
        7,
        axis,
        axis,
        0.7,
        0.9,
        8,
        8,
    )


def test_of_two_workers_one_gets_the_stage(sessions: Sessions, job_id: str) -> None:
    assert claim(sessions, job_id, Stage.PREPARE, "w1") is not None
    assert claim(sessions, job_id, Stage.PREPARE, "w2") is None


def test_a_stage_cannot_be_claimed_before_its_turn(sessions: Sessions, job_id: str) -> None:
    assert claim(sessions, job_id, Stage.INFER) is None
    assert job_of(sessions, job_id).state == JobState.QUEUED


def test_an_unknown_job_is_not_claimed(sessions: Sessions) -> None:
    assert claim(sessions, "no such job", Stage.PREPARE) is None


def test_a_dead_workers_stage_is_taken_over_when_its_lease_ends(sessions: Sessions, job_id: str) -> None:
    first = held(claim(sessions, job_id, Stage.PREPARE, "w1"))
    assert claim(sessions, job_id, Stage.PREPARE, "w2", later(LEASE_S - 1)) is None
    second = held(claim(sessions, job_id, Stage.PREPARE, "w2", later(LEASE_S + 1)))
    assert second.fence > first.fence


def test_a_worker_that_lost_its_lease_can_write_nothing(sessions: Sessions, job_id: str) -> None:
    late = held(claim(sessions, job_id, Stage.PREPARE, "w1"))
    held(claim(sessions, job_id, Stage.PREPARE, "w2", later(LEASE_S + 1)))
    with pytest.raises(LeaseLost):
        finish(sessions, late)
    with pytest.raises(LeaseLost), sessions.begin() as session:
        job_records.renew(session, late, lease_s=LEASE_S, now=NOON)
    with pytest.raises(LeaseLost), sessions.begin() as session:
        job_records.fail_stage(session, late, Transient("x"), retry=True, now=NOON)
    assert job_of(sessions, job_id).state == JobState.PREPARING


def test_a_renewed_lease_lasts_longer(sessions: Sessions, job_id: str) -> None:
    lease = held(claim(sessions, job_id, Stage.PREPARE, "w1"))
    with sessions.begin() as session:
        job_records.renew(session, lease, lease_s=LEASE_S, now=later(50), progress=0.05)
    assert claim(sessions, job_id, Stage.PREPARE, "w2", later(LEASE_S + 1)) is None
    assert job_of(sessions, job_id).progress == pytest.approx(0.05)


def test_stages_hand_over_their_artefacts_and_start_with_fresh_attempts(
    sessions: Sessions, job_id: str
) -> None:
    lease = held(claim(sessions, job_id, Stage.PREPARE))
    finish(sessions, lease)
    job = job_of(sessions, job_id)
    assert (job.state, job.artefacts, job.stage_attempts) == (JobState.PREPARED, {"prepare": lease.fence}, 0)
    assert held(claim(sessions, job_id, Stage.INFER)).attempt == 1


def test_publishing_names_the_outcome_and_files_the_lesions(sessions: Sessions, job_id: str) -> None:
    finish(sessions, held(claim(sessions, job_id, Stage.PREPARE)))
    finish(sessions, held(claim(sessions, job_id, Stage.INFER)))
    lease = held(claim(sessions, job_id, Stage.ENCODE))
    seg = ResultFile("results/a/3/seg.dcm", "2.25.1", "1.2.840.10008.5.1.4.1.1.66.4", "00", 1)
    with sessions.begin() as session:
        job_records.publish(
            session, lease, report=report(lesion(1), lesion(2)), results={"seg": seg}, seconds={}, now=NOON
        )
    job = job_of(sessions, job_id)
    assert (job.state, job.outcome, job.results["seg"]["path"]) == (
        JobState.ENCODED,
        Outcome.POSITIVE,
        seg.path,
    )
    with sessions() as session:
        assert session.query(LesionRow).count() == 2
    assert job_records.REPORT.validate_python(job.report) == report(lesion(1), lesion(2))


def test_no_lesions_is_a_negative_outcome(sessions: Sessions, job_id: str) -> None:
    finish(sessions, held(claim(sessions, job_id, Stage.PREPARE)))
    finish(sessions, held(claim(sessions, job_id, Stage.INFER)))
    lease = held(claim(sessions, job_id, Stage.ENCODE))
    with sessions.begin() as session:
        job_records.publish(session, lease, report=report(), results={}, seconds={}, now=NOON)
    assert job_of(sessions, job_id).outcome == Outcome.NEGATIVE


def test_a_failed_stage_is_tried_again_after_a_pause_and_parked_after_three_attempts(
    sessions: Sessions, job_id: str
) -> None:
    moment = NOON
    for attempt in range(1, MAX_ATTEMPTS + 1):
        lease = held(claim(sessions, job_id, Stage.PREPARE, now=moment))
        with sessions.begin() as session:
            parked = job_records.fail_stage(session, lease, Transient("disk full"), retry=True, now=moment)
        assert parked == (attempt == MAX_ATTEMPTS)
        assert claim(sessions, job_id, Stage.PREPARE, now=moment) is None, "no second try at once"
        moment += timedelta(seconds=job_records.RETRY_PAUSE_S + 1)
    job = job_of(sessions, job_id)
    assert (job.state, job.outcome, job.reason) == (JobState.PARKED, Outcome.FAILED, "Transient")
    assert "disk full" in job.message


def test_a_defect_parks_at_once(sessions: Sessions, job_id: str) -> None:
    lease = held(claim(sessions, job_id, Stage.PREPARE))
    with sessions.begin() as session:
        assert job_records.fail_stage(session, lease, Defect("verifier"), retry=False, now=NOON)
    assert job_of(sessions, job_id).state == JobState.PARKED


def test_a_study_that_kills_its_workers_is_parked(sessions: Sessions, job_id: str) -> None:
    moment = NOON
    for _ in range(MAX_ATTEMPTS):
        held(claim(sessions, job_id, Stage.PREPARE, now=moment))
        moment += timedelta(seconds=LEASE_S + 1)
    assert claim(sessions, job_id, Stage.PREPARE, now=moment) is None
    job = job_of(sessions, job_id)
    assert (job.state, job.reason) == (JobState.PARKED, "worker_lost")


def test_a_parked_job_can_be_replayed_with_all_its_attempts(sessions: Sessions, job_id: str) -> None:
    lease = held(claim(sessions, job_id, Stage.PREPARE))
    with sessions.begin() as session:
        job_records.fail_stage(session, lease, Defect("x"), retry=False, now=NOON)
    with sessions.begin() as session:
        job_records.replay(session, job_id, NOON)
    job = job_of(sessions, job_id)
    assert (job.state, job.outcome, job.stage_attempts) == (JobState.QUEUED, None, 0)


def test_a_job_that_runs_cannot_be_replayed(sessions: Sessions, job_id: str) -> None:
    held(claim(sessions, job_id, Stage.PREPARE))
    with pytest.raises(InvalidInput, match="only a parked job"), sessions.begin() as session:
        job_records.replay(session, job_id, NOON)


def test_an_unsuitable_study_ends_with_its_reason(sessions: Sessions, job_id: str) -> None:
    lease = held(claim(sessions, job_id, Stage.PREPARE))
    error = UnsuitableStudy(UnsuitableReason.NO_ENHANCEMENT, "nothing enhances")
    with sessions.begin() as session:
        job_records.end_unsuitable(session, lease, error, NOON)
    job = job_of(sessions, job_id)
    assert (job.state, job.outcome, job.reason) == (JobState.UNSUITABLE, Outcome.UNSUITABLE, "no_enhancement")


def test_a_new_revision_ends_the_work_on_the_old_one(sessions: Sessions, job_id: str) -> None:
    lease = held(claim(sessions, job_id, Stage.PREPARE))
    with sessions.begin() as session:
        study_id = session.get_one(JobRow, job_id).study_id
        job_records.supersede_unfinished(session, study_id, NOON)
    assert job_of(sessions, job_id).state == JobState.SUPERSEDED
    with pytest.raises(LeaseLost):
        finish(sessions, lease)


def test_a_stage_handed_back_can_be_taken_at_once_and_costs_no_attempt(
    sessions: Sessions, job_id: str
) -> None:
    for _ in range(MAX_ATTEMPTS + 1):
        lease = held(claim(sessions, job_id, Stage.PREPARE))
        assert lease.attempt == 1
        with sessions.begin() as session:
            job_records.hand_back(session, lease, NOON)
    with sessions() as session:
        due = due_jobs(session, now=NOON, requeue_after_s=300)
    assert [job.id for job in due] == [job_id]


def add_revision(sessions: Sessions, revision: int, *kinds: ResultKind) -> None:
    with sessions.begin() as session:
        session.add(
            JobRow(
                id=f"r{revision}",
                study_id=session.get_one(JobRow, "a").study_id,
                revision=revision,
                state=JobState.DELIVERED,
                selection={},
                results={
                    kind.value: asdict(ResultFile(f"{revision}/{kind}", "2.25.1", "1.2", "0", 1))
                    for kind in kinds
                },
                created_at=NOON,
                updated_at=NOON,
            )
        )


def superseded_by(sessions: Sessions, revision: int) -> list[str]:
    add_revision(sessions, revision)
    with sessions() as session:
        job = session.get_one(JobRow, f"r{revision}")
        return [file.path for file in job_records.superseded_objects(session, job)]


def test_a_first_analysis_supersedes_nothing(sessions: Sessions, job_id: str) -> None:
    with sessions() as session:
        assert job_records.superseded_objects(session, session.get_one(JobRow, job_id)) == ()


def test_a_revision_supersedes_all_objects_of_the_older_ones(sessions: Sessions, job_id: str) -> None:
    assert job_id == "a"
    add_revision(sessions, 2, ResultKind.SR, ResultKind.SEG)
    add_revision(sessions, 3, ResultKind.NOTICE)
    assert superseded_by(sessions, 4) == ["3/notice", "2/seg", "2/sr"]


def test_what_an_older_revision_rejected_is_not_rejected_again(sessions: Sessions, job_id: str) -> None:
    assert job_id == "a"
    add_revision(sessions, 2, ResultKind.SEG)
    add_revision(sessions, 3, ResultKind.SEG, ResultKind.REJECTION)
    assert superseded_by(sessions, 4) == ["3/seg"]
