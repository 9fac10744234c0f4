from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from celery import Celery

from core import job_records, notice_records, schema
from core.broker import open_broker
from core.database import JobRow, Sessions, StudyRow, open_engine, open_sessions
from core.errors import Defect, LeaseLost, Transient, UnsuitableReason, UnsuitableStudy
from core.job import MAX_ATTEMPTS, JobState, Outcome, Stage
from core.job_records import ResultFile
from core.lesion import FindingsReport, ModelIdentity
from core.settings import CommonSettings
from core.study import AnalysisMode
from core.study_store import StudyStore
from worker.stage_context import ReportProgress, StageContext, StageResult
from worker.tasks import Shell

LEASE_S = 60.0
NEGATIVE = FindingsReport(
    "1.2.3",
    "1.2.4",
    1,
    AnalysisMode.FULL,
    0.4,
    ModelIdentity("set", "1", "d", "full"),
    (),
    (),
    None,
    1.4e6,
    "0",
)
SR = ResultFile("results/a/3/sr.dcm", "2.25.3", "1.2.840.10008.5.1.4.1.1.88.34", "00", 10)

StageFake = Callable[[StageContext, ReportProgress], StageResult]


@dataclass
class Moment:
    """A clock that is moved by hand."""

    now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Work:
    """Stands for the three stages; records what it was asked to do."""

    failing: dict[Stage, list[Exception]] = field(default_factory=dict)
    done: list[tuple[Stage, StageContext]] = field(default_factory=list)

    def stage(self, stage: Stage) -> StageFake:
        def run(context: StageContext, report: ReportProgress) -> StageResult:
            report(0.5)
            if self.failing.get(stage):
                raise self.failing[stage].pop(0)
            self.done.append((stage, context))
            if stage is Stage.ENCODE:
                return StageResult(report=NEGATIVE, files={"sr": SR})
            return StageResult()

        return run


@dataclass
class Bench:
    shell: Shell
    sessions: Sessions
    clock: Moment
    work: Work
    messages: Path

    def job(self) -> JobRow:
        with self.sessions() as session:
            return session.get_one(JobRow, "a")

    def queued(self) -> int:
        return len(list(self.messages.iterdir()))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    engine = open_engine(f"sqlite:///{tmp_path / 'metserve.db'}")
    schema.upgrade(engine)
    sessions = open_sessions(engine)
    clock, work = Moment(), Work()
    with sessions.begin() as session:
        study = StudyRow(study_instance_uid="1.2.3", first_received_at=clock(), last_received_at=clock())
        session.add(
            JobRow(
                id="a",
                study=study,
                revision=1,
                state=JobState.QUEUED,
                selection={"mode": "full", "selected": [], "verdicts": [], "flags": []},
                created_at=clock(),
                updated_at=clock(),
            )
        )
    broker: Celery = open_broker(CommonSettings(data_dir=tmp_path))
    shell = Shell(
        sessions=sessions,
        store=StudyStore(tmp_path),
        broker=broker,
        clock=clock,
        stages={stage: work.stage(stage) for stage in Stage},
        owner="w1",
        lease_s=LEASE_S,
    )
    yield Bench(shell, sessions, clock, work, tmp_path / "broker" / "messages")
    engine.dispose()


def run_all(bench: Bench) -> None:
    for stage in Stage:
        bench.shell.run(stage, "a")


def test_a_job_goes_through_its_stages_and_is_published(bench: Bench) -> None:
    run_all(bench)
    job = bench.job()
    assert (job.state, job.outcome, job.results["sr"]["path"]) == (
        JobState.ENCODED,
        Outcome.NEGATIVE,
        SR.path,
    )
    assert [stage for stage, _ in bench.work.done] == list(Stage)
    assert set(job.stage_seconds) == {"prepare", "infer", "encode"}


def test_a_stage_finds_the_artefacts_of_the_one_before(bench: Bench) -> None:
    run_all(bench)
    contexts = dict(bench.work.done)
    assert contexts[Stage.INFER].artefacts[Stage.PREPARE] == contexts[Stage.PREPARE].work_folder
    assert contexts[Stage.ENCODE].artefacts[Stage.INFER] == contexts[Stage.INFER].work_folder
    assert contexts[Stage.INFER].work_folder != contexts[Stage.PREPARE].work_folder


def test_the_next_stage_is_rung_for(bench: Bench) -> None:
    bench.shell.run(Stage.PREPARE, "a")
    assert bench.queued() == 1
    assert bench.job().enqueued_at == bench.clock()


def test_a_message_for_work_already_done_is_dropped(bench: Bench) -> None:
    bench.shell.run(Stage.PREPARE, "a")
    bench.shell.run(Stage.PREPARE, "a")
    assert len(bench.work.done) == 1


def test_a_message_for_an_unknown_job_is_dropped(bench: Bench) -> None:
    bench.shell.run(Stage.PREPARE, "no such job")
    assert bench.work.done == []


def test_an_unsuitable_study_ends_with_its_reason_and_is_not_tried_again(bench: Bench) -> None:
    bench.work.failing[Stage.PREPARE] = [UnsuitableStudy(UnsuitableReason.NO_ENHANCEMENT, "nothing enhances")]
    bench.shell.run(Stage.PREPARE, "a")
    bench.shell.run(Stage.PREPARE, "a")
    job = bench.job()
    assert (job.state, job.reason, job.message) == (JobState.UNSUITABLE, "no_enhancement", "nothing enhances")
    assert bench.queued() == 0
    with bench.sessions() as session:
        assert notice_records.to_ring(session, bench.clock()) == ["a"]


def test_a_passing_failure_is_tried_again_and_the_job_still_ends_well(bench: Bench) -> None:
    bench.work.failing[Stage.INFER] = [Transient("GPU out of memory")]
    run_all(bench)
    assert bench.job().state == JobState.PREPARED
    bench.clock.pass_s(job_records.RETRY_PAUSE_S + 1)
    bench.shell.run(Stage.INFER, "a")
    bench.shell.run(Stage.ENCODE, "a")
    assert bench.job().outcome == Outcome.NEGATIVE


def test_after_three_attempts_the_job_is_parked_with_its_reason(bench: Bench) -> None:
    bench.work.failing[Stage.PREPARE] = [RuntimeError("boom")] * MAX_ATTEMPTS
    for _ in range(MAX_ATTEMPTS):
        bench.shell.run(Stage.PREPARE, "a")
        bench.clock.pass_s(job_records.RETRY_PAUSE_S + 1)
    job = bench.job()
    assert (job.state, job.outcome, job.reason) == (JobState.PARKED, Outcome.FAILED, "RuntimeError")
    assert "boom" in job.message


def test_a_defect_parks_at_once(bench: Bench) -> None:
    bench.work.failing[Stage.ENCODE] = [Defect("the SEG read back has another volume")]
    run_all(bench)
    assert bench.job().state == JobState.PARKED
    assert bench.job().results == {}


def test_work_whose_lease_was_lost_leaves_no_trace(bench: Bench) -> None:
    bench.work.failing[Stage.PREPARE] = [LeaseLost("taken over")]
    bench.shell.run(Stage.PREPARE, "a")
    assert bench.job().state == JobState.PREPARING


def test_results_of_a_worker_that_was_overtaken_are_not_published(bench: Bench) -> None:
    bench.shell.run(Stage.PREPARE, "a")
    bench.shell.run(Stage.INFER, "a")

    def encode_while_another_worker_takes_over(context: StageContext, report: ReportProgress) -> StageResult:
        bench.clock.pass_s(LEASE_S + 1)
        with bench.sessions.begin() as session:
            job_records.claim(session, "a", Stage.ENCODE, owner="w2", lease_s=LEASE_S, now=bench.clock())
        return StageResult(report=NEGATIVE, files={"sr": SR})

    overtaken = Shell(
        **{**vars(bench.shell), "stages": {Stage.ENCODE: encode_while_another_worker_takes_over}}
    )
    overtaken.run(Stage.ENCODE, "a")
    assert (bench.job().state, bench.job().results) == (JobState.ENCODING, {})


def test_a_worker_that_is_told_to_stop_gives_its_stage_back(bench: Bench) -> None:
    stopping = Shell(**{**vars(bench.shell), "is_stopping": lambda: True})
    stopping.run(Stage.PREPARE, "a")
    assert (bench.job().state, bench.job().stage_attempts, bench.job().lease_owner) == (
        JobState.QUEUED,
        0,
        None,
    )
    bench.shell.run(Stage.PREPARE, "a")
    assert bench.job().state == JobState.PREPARED


def test_a_new_revision_knows_the_report_it_supersedes(bench: Bench) -> None:
    run_all(bench)
    with bench.sessions.begin() as session:
        first = session.get_one(JobRow, "a")
        session.add(
            JobRow(
                id="b",
                study_id=first.study_id,
                revision=2,
                state=JobState.QUEUED,
                selection=first.selection,
                created_at=bench.clock(),
                updated_at=bench.clock(),
            )
        )
    bench.shell.run(Stage.PREPARE, "b")
    (_, of_first), *_, (_, of_second) = bench.work.done
    assert (of_first.predecessor, of_second.predecessor) == (None, SR.path)
    assert (of_first.superseded, of_second.superseded) == ((), (SR,))
    assert of_second.read_superseded() == (), "the file is not kept here"
    assert of_second.read_predecessor() is None


def test_a_damaged_older_result_stops_no_new_analysis(bench: Bench) -> None:
    run_all(bench)
    (_, context), *_ = bench.work.done
    context = replace(context, predecessor=SR.path, superseded=(SR,))
    path = context.store.resolve(SR.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"cut off")
    assert context.read_predecessor() is None
    assert context.read_superseded() == ()


def test_a_failed_attempt_leaves_no_message_on_a_job_that_ended_well(bench: Bench) -> None:
    bench.work.failing[Stage.PREPARE] = [Transient("disk full")]
    bench.shell.run(Stage.PREPARE, "a")
    assert "disk full" in bench.job().message
    bench.clock.pass_s(job_records.RETRY_PAUSE_S + 1)
    run_all(bench)
    assert (bench.job().outcome, bench.job().message) == (Outcome.NEGATIVE, "")


def test_a_study_found_unsuitable_by_an_overtaken_worker_is_left_to_the_other(bench: Bench) -> None:
    def overtaken(context: StageContext, report: ReportProgress) -> StageResult:
        bench.clock.pass_s(LEASE_S + 1)
        with bench.sessions.begin() as session:
            job_records.claim(session, "a", Stage.PREPARE, owner="w2", lease_s=LEASE_S, now=bench.clock())
        raise UnsuitableStudy(UnsuitableReason.NO_ENHANCEMENT, "nothing enhances")

    Shell(**{**vars(bench.shell), "stages": {Stage.PREPARE: overtaken}}).run(Stage.PREPARE, "a")
    assert (bench.job().state, bench.job().outcome) == (JobState.PREPARING, None)
