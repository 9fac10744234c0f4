from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import select, update

from core import job_records
from core.broker import open_broker
from core.database import InstanceRow, StudyRow
from core.errors import InvalidInput, UnsuitableReason
from core.job import JobState, Lane, Outcome, Stage
from core.job_records import SELECTION
from core.settings import CommonSettings
from core.study import Selection, SeriesRole, Study
from service.jobs import FAILED_STUDY_RESTS_S, WORK_KEPT_S, request_analysis
from service.selection.assembly import Refusal, select_series
from service.selection.study_assembly import STUDY_ASSEMBLY, StudyAssembly
from tests.mr_headers import SIEMENS_MPRAGE, STUDY_UID, ct_series, own_segmentation, series
from tests.service.coordinator_desk import (
    INCOMPLETE_QUIET_S,
    QUIET_S,
    REQUEUE_AFTER_S,
    Desk,
    both_roles,
    open_desk,
    post,
)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    yield from open_desk(tmp_path)


def test_a_complete_study_becomes_a_job_after_the_quiet_period(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    assert desk.after(QUIET_S - 1).jobs() == []
    job = desk.after(1).job()
    assert (job.id, job.state, job.revision) == ("job-1", JobState.QUEUED, 1)
    selection = SELECTION.validate_python(job.selection)
    assert {selected.role for selected in selection.selected} == set(SeriesRole)
    assert not desk.site.study().awaits_assembly
    assert len(desk.after(1000).jobs()) == 1


def test_an_incomplete_study_waits_longer(desk: Desk) -> None:
    desk.site.receive(*post())
    assert desk.after(INCOMPLETE_QUIET_S - 1).jobs() == []
    assert desk.after(1).job().selection["mode"] == "t1_post_only"


def test_each_new_instance_starts_the_quiet_period_again(desk: Desk) -> None:
    *most, last = both_roles()
    desk.site.receive(*most)
    assert desk.after(QUIET_S).jobs() == []
    desk.site.receive(last)
    assert desk.after(QUIET_S - 1).jobs() == []
    assert len(desk.after(1).jobs()) == 1


def test_a_study_without_mr_ends_as_unsuitable(desk: Desk) -> None:
    desk.site.receive(*ct_series(slices=2))
    job = desk.after(INCOMPLETE_QUIET_S).job()
    assert (job.state, job.outcome) == (JobState.UNSUITABLE, Outcome.UNSUITABLE)
    assert job.reason == UnsuitableReason.NO_MR_SERIES
    assert "CT" in job.message
    assert job.finished_at == desk.site.clock.now
    assert len(SELECTION.validate_python(job.selection).verdicts) == 1


def test_a_notice_is_asked_for_when_a_study_is_unsuitable(desk: Desk) -> None:
    desk.site.receive(*ct_series(slices=2))
    desk.after(INCOMPLETE_QUIET_S)
    for _ in range(3):
        desk.coordinator.ring_for_notices()
    assert desk.rings() == [("metserve.notice", "job-1")]
    desk.after(REQUEUE_AFTER_S).coordinator.ring_for_notices()
    assert len(desk.rings()) == 2


def test_a_study_that_is_analysed_needs_no_notice(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    desk.after(QUIET_S).coordinator.ring_for_notices()
    assert desk.rings() == []


def test_late_slices_make_a_new_revision_that_supersedes_the_old_one(desk: Desk) -> None:
    desk.site.receive(*post())
    desk.after(INCOMPLETE_QUIET_S)
    desk.site.receive(*series(1, "t1", SIEMENS_MPRAGE, slices=20))
    old, new = desk.after(QUIET_S).jobs()
    assert (old.state, new.state, new.revision) == (JobState.SUPERSEDED, JobState.QUEUED, 2)


def test_a_late_object_that_changes_nothing_makes_no_new_revision(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    desk.after(QUIET_S)
    desk.site.receive(own_segmentation())
    assert desk.site.study().awaits_assembly
    assert desk.after(INCOMPLETE_QUIET_S).job().state == JobState.QUEUED
    assert not desk.site.study().awaits_assembly


def test_a_request_does_not_wait(desk: Desk) -> None:
    desk.site.receive(*post())
    with desk.site.sessions.begin() as session:
        request_analysis(session, STUDY_UID, desk.site.clock.now)
    assert desk.after(0).job().state == JobState.QUEUED
    assert desk.site.study().analysis_requested_at is None


def test_a_request_analyses_the_same_instances_again(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    desk.after(QUIET_S)
    with desk.site.sessions.begin() as session:
        request_analysis(session, STUDY_UID, desk.site.clock.now)
    assert [job.revision for job in desk.after(0).jobs()] == [1, 2]


def test_an_urgent_request_puts_the_job_into_the_urgent_lane(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    with desk.site.sessions.begin() as session:
        request_analysis(session, STUDY_UID, desk.site.clock.now, Lane.URGENT)
    assert desk.after(0).job().lane == Lane.URGENT
    desk.coordinator.requeue()
    (message,) = desk.messages.glob("*.msg")
    assert "prepare.urgent" in message.name


def test_a_study_stays_in_its_lane_when_it_is_analysed_again(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    for lane in (Lane.URGENT, None):
        with desk.site.sessions.begin() as session:
            request_analysis(session, STUDY_UID, desk.site.clock.now, lane)
        desk.after(0)
    assert [job.lane for job in desk.jobs()] == [Lane.URGENT, Lane.URGENT]


def test_a_request_for_an_unknown_study_is_refused(desk: Desk) -> None:
    with desk.site.sessions.begin() as session, pytest.raises(InvalidInput, match="no instance"):
        request_analysis(session, "1.2.3", desk.site.clock.now)


def test_an_instance_that_arrives_during_assembly_is_not_forgotten(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    *most, last = both_roles()
    desk.site.receive(*most)
    ask(desk)
    do_during_assembly(monkeypatch, lambda: desk.site.receive(last))
    assert desk.after(0).jobs() == []
    assert desk.site.study().awaits_assembly
    monkeypatch.undo()
    uids = SELECTION.validate_python(desk.after(0).job().selection).selected[1].sop_instance_uids
    assert last.SOPInstanceUID in uids


def do_during_assembly(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Let something happen after a study was read and before it is answered, at the same clock tick."""

    def act_and_select(study: Study) -> Selection | Refusal:
        action()
        return select_series(study)

    monkeypatch.setattr("service.jobs.select_series", act_and_select)


def test_a_request_that_comes_during_assembly_is_answered_too(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.site.receive(*both_roles())
    ask(desk)
    do_during_assembly(monkeypatch, lambda: ask(desk, later_s=1))
    assert desk.after(0).jobs() == []
    assert desk.site.study().analysis_requested_at is not None
    monkeypatch.undo()
    assert desk.after(0).job().state == JobState.QUEUED
    assert desk.site.study().analysis_requested_at is None


def ask(desk: Desk, later_s: float = 0) -> None:
    with desk.site.sessions.begin() as session:
        request_analysis(session, STUDY_UID, desk.site.clock.now + timedelta(seconds=later_s))


def test_a_study_that_cannot_be_read_keeps_no_other_waiting(desk: Desk) -> None:
    desk.site.receive(*series(1, "t1", SIEMENS_MPRAGE, slices=2, StudyInstanceUID="1.2.3"))
    with desk.site.sessions.begin() as session:
        session.execute(update(InstanceRow).values(header={"of": "another release"}))
    desk.site.clock.advance(1)
    desk.site.receive(*both_roles())
    failed = failures()
    assert desk.after(INCOMPLETE_QUIET_S).job().state == JobState.QUEUED
    assert failures() == failed + 1
    desk.after(FAILED_STUDY_RESTS_S - 1)
    assert failures() == failed + 1, "it rests"
    desk.after(1)
    assert failures() == failed + 2


def failures() -> float:
    return REGISTRY.get_sample_value("metserve_coordinator_errors_total", {"step": "answer_study"}) or 0.0


def assembly(desk: Desk) -> StudyAssembly:
    with desk.site.read_sessions() as session:
        return STUDY_ASSEMBLY.validate_python(session.scalars(select(StudyRow.assembly)).one())


def test_a_study_that_waits_says_for_what(desk: Desk) -> None:
    desk.site.receive(*post())
    assert desk.after(QUIET_S).jobs() == []
    kept = assembly(desk)
    assert kept.missing_role is SeriesRole.T1
    assert kept.waits_because.startswith("waits for a T1 until nothing new has come for 300 s")
    assert [verdict.role for verdict in kept.verdicts] == [SeriesRole.T1_POST]
    assert kept.assembled_at == desk.site.clock.now


def test_a_late_series_that_changes_nothing_gets_its_verdict(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    desk.after(QUIET_S)
    desk.site.receive(own_segmentation())
    desk.after(INCOMPLETE_QUIET_S)
    assert desk.job().revision == 1
    assert [verdict.modality for verdict in assembly(desk).verdicts] == ["MR", "MR", "SEG"]


def test_what_assembly_made_is_written_once_and_not_each_round(desk: Desk) -> None:
    desk.site.receive(*post())
    first = desk.after(QUIET_S).site.clock.now
    desk.after(10)
    assert assembly(desk).assembled_at == first


def test_a_new_job_is_rung_once(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    desk.after(QUIET_S)
    desk.coordinator.requeue()
    desk.coordinator.requeue()
    assert desk.rings() == [("metserve.prepare", "job-1")]
    assert desk.job().enqueued_at == desk.site.clock.now


def test_a_job_nobody_took_is_rung_again(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    desk.after(QUIET_S).coordinator.requeue()
    desk.after(REQUEUE_AFTER_S + 1).coordinator.requeue()
    assert len(desk.rings()) == 2


def test_a_job_whose_worker_died_is_rung_again_once(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    desk.after(QUIET_S).coordinator.requeue()
    with desk.site.sessions.begin() as session:
        lease = job_records.claim(
            session, "job-1", Stage.PREPARE, owner="w", lease_s=30, now=desk.site.clock.now
        )
    assert lease is not None
    desk.after(29).coordinator.requeue()
    assert len(desk.rings()) == 1
    for _ in range(3):
        desk.after(2).coordinator.requeue()
    assert len(desk.rings()) == 2


def test_a_broker_that_is_down_delays_the_ring_and_nothing_else(tmp_path: Path) -> None:
    broker = open_broker(CommonSettings(data_dir=tmp_path))
    (desk,) = [*open_desk(tmp_path, broker=broker)]
    desk.site.receive(*both_roles())
    desk.after(QUIET_S)
    desk.messages.rename(desk.messages.with_name("away"))
    desk.coordinator.requeue()
    assert desk.job().enqueued_at is None
    desk.messages.with_name("away").rename(desk.messages)
    desk.coordinator.requeue()
    assert desk.rings() == [("metserve.prepare", "job-1")]


def test_the_work_of_a_superseded_job_is_removed_once_no_worker_can_still_write_it(desk: Desk) -> None:
    desk.site.receive(*post())
    desk.after(INCOMPLETE_QUIET_S)
    desk.site.receive(*series(1, "t1", SIEMENS_MPRAGE, slices=20))
    desk.after(QUIET_S)
    old, new = (desk.site.store.work_folder(job.id, 1) for job in desk.jobs())
    desk.coordinator.discard_work()
    assert old.exists()
    desk.after(WORK_KEPT_S + 1).coordinator.discard_work()
    assert not old.parent.exists()
    assert new.exists()


def test_work_of_a_job_the_database_does_not_know_is_left_alone(desk: Desk) -> None:
    folder = desk.site.store.work_folder("of-another-database", 1)
    desk.after(WORK_KEPT_S + 1).coordinator.discard_work()
    assert folder.exists()


def test_the_loop_goes_on_after_a_step_that_fails(desk: Desk) -> None:
    stop = threading.Event()
    failures = iter([RuntimeError("the database is gone")])

    def assemble_due() -> None:
        for failure in failures:
            raise failure
        stop.set()

    desk.coordinator.assemble_due = assemble_due  # type: ignore[method-assign]
    desk.coordinator.run(stop)
    assert next(failures, None) is None
    assert stop.is_set()
