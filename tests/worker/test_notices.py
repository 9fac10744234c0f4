"""From an unsuitable job to an object that says why, as a worker makes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from celery import Celery
from pydicom import Dataset, dcmread

from core import notice_records, schema
from core.database import InstanceRow, JobRow, NoticeRow, SeriesRow, StudyRow, open_engine, open_sessions
from core.errors import Defect, Transient
from core.job import JobState, Outcome
from core.lesion import ModelIdentity
from core.notice_records import NoticeState
from core.provenance import Provenance
from core.results import SOP_CLASSES, ResultKind
from core.settings import WorkerSettings
from core.study_store import StudyStore, sha256_of_file
from core.tasks import NOTICE_TASK
from tests.dicom_sources import STUDY_UID, classic_series, make_grid, make_patient
from worker.encoding.codes import DEFAULT_SITE_CODES, SiteCodes
from worker.main import site_choices
from worker.notices import NoticeOffice, register_notice_task

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MESSAGE = "no series after contrast was found; expected a T1 post-contrast series"


@dataclass
class Bench:
    office: NoticeOffice
    folder: Path

    def job(self) -> JobRow:
        with self.office.sessions() as session:
            return session.get_one(JobRow, "a")

    def notice(self) -> NoticeRow:
        with self.office.sessions() as session:
            return session.query(NoticeRow).one()

    def made(self) -> Dataset:
        return dcmread(self.office.store.resolve(self.job().results["notice"]["path"]))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    engine = open_engine(f"sqlite:///{tmp_path / 'metserve.db'}")
    schema.upgrade(engine)
    store, sessions = StudyStore(tmp_path), open_sessions(engine)
    with sessions.begin() as session:
        study = StudyRow(study_instance_uid=STUDY_UID, first_received_at=NOON, last_received_at=NOON)
        study.series = [ct_series(), mr_series(store)]
        session.add(unsuitable_job(study))
        session.flush()
        notice_records.require(session, "a", NOON)
    office = NoticeOffice(
        sessions=sessions,
        store=store,
        clock=lambda: NOON,
        model=ModelIdentity("set", "1", "d" * 64, "full"),
        software_version="0.1.0",
        codes=DEFAULT_SITE_CODES,
        lease_s=60,
    )
    yield Bench(office, tmp_path)
    engine.dispose()


def unsuitable_job(study: StudyRow) -> JobRow:
    return JobRow(
        id="a",
        study=study,
        revision=1,
        state=JobState.UNSUITABLE,
        outcome=Outcome.UNSUITABLE,
        reason="no_post_contrast",
        message=MESSAGE,
        selection={},
        created_at=NOON,
        updated_at=NOON,
    )


def ct_series() -> SeriesRow:
    """A series whose files nobody should need."""
    return series_row("CT", "1.2.3", "instances/nowhere.dcm")


def mr_series(store: StudyStore) -> SeriesRow:
    instances, _ = classic_series(make_grid(), patient=make_patient("Doe^Jane"))
    path = store.instances / "mr.dcm"
    instances[0].save_as(path, enforce_file_format=True)
    return series_row("MR", "1.2.4", store.relative(path))


def series_row(modality: str, uid: str, path: str) -> SeriesRow:
    instance = InstanceRow(
        sop_instance_uid=f"{uid}.1",
        sop_class_uid="1",
        transfer_syntax_uid="1",
        sha256="",
        size_bytes=1,
        path=path,
        header={},
        received_at=NOON,
    )
    return SeriesRow(series_instance_uid=uid, modality=modality, instances=[instance])


class FailingEncoder:
    """Raises these errors, one a call."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def __call__(self, *_: object) -> Dataset:
        raise self.errors.pop(0)


def test_a_notice_is_filed_with_its_patient_and_study(bench: Bench) -> None:
    bench.office.run("a")
    made, file = bench.made(), bench.job().results["notice"]
    assert (made.PatientName, made.PatientID, made.StudyInstanceUID) == ("Doe^Jane", "MET-0001", STUDY_UID)
    assert made.SOPClassUID == file["sop_class_uid"] == SOP_CLASSES[ResultKind.NOTICE]
    assert made.SOPInstanceUID == file["sop_instance_uid"]
    assert sha256_of_file(bench.office.store.resolve(file["path"])) == file["sha256"]
    assert bench.notice().state == NoticeState.MADE


def test_the_job_stays_as_it_ended(bench: Bench) -> None:
    bench.office.run("a")
    job = bench.job()
    assert (job.state, job.outcome, job.message) == (JobState.UNSUITABLE, Outcome.UNSUITABLE, MESSAGE)
    assert job.report is None


def test_the_notice_is_told_what_was_wrong_and_by_whom(bench: Bench) -> None:
    told: list[tuple[str, str, Provenance, SiteCodes]] = []

    def encode(
        source: Dataset, reason: str, message: str, provenance: Provenance, codes: SiteCodes
    ) -> Dataset:
        told.append((reason, message, provenance, codes))
        return source

    replace(bench.office, encode=encode).run("a")
    expected = Provenance(STUDY_UID, 1, bench.office.model, "0.1.0", NOON)
    assert told == [("no_post_contrast", MESSAGE, expected, DEFAULT_SITE_CODES)]


def test_a_message_that_comes_twice_makes_one_notice(bench: Bench) -> None:
    bench.office.run("a")
    replace(bench.office, encode=FailingEncoder()).run("a")
    assert bench.notice().attempts == 1


def test_a_failed_notice_is_tried_again_and_its_job_never_changes(bench: Bench) -> None:
    replace(bench.office, encode=FailingEncoder(Transient("disk full"))).run("a")
    assert (bench.notice().state, bench.notice().last_error) == (NoticeState.DUE, "Transient: disk full")
    assert (bench.job().state, bench.job().results) == (JobState.UNSUITABLE, {})
    rested = NOON + timedelta(seconds=notice_records.RETRY_PAUSE_S)
    replace(bench.office, clock=lambda: rested).run("a")
    assert bench.notice().state == NoticeState.MADE


def test_a_notice_that_does_not_say_what_was_drawn_is_not_published(bench: Bench) -> None:
    replace(bench.office, encode=FailingEncoder(Defect("another page"))).run("a")
    assert bench.notice().state == NoticeState.FAILED
    assert bench.job().results == {}


def test_a_damaged_instance_is_passed_over(bench: Bench) -> None:
    with bench.office.sessions.begin() as session:
        damaged = bench.office.store.instances / "damaged.dcm"
        damaged.write_bytes(b"no DICOM")
        session.query(SeriesRow).filter_by(modality="CT").one().modality = "MR"
        first = session.query(InstanceRow).filter_by(sop_instance_uid="1.2.3.1").one()
        first.path = bench.office.store.relative(damaged)
    bench.office.run("a")
    assert bench.made().PatientID == "MET-0001"


def test_a_study_without_a_readable_instance_is_tried_again(bench: Bench) -> None:
    (bench.office.store.instances / "mr.dcm").write_bytes(b"no DICOM")
    with bench.office.sessions.begin() as session:
        session.query(InstanceRow).filter_by(sop_instance_uid="1.2.3.1").delete()
    bench.office.run("a")
    assert "none of 1 instances can be read" in bench.notice().last_error


def test_workers_know_the_task_by_its_name(bench: Bench) -> None:
    app = Celery("test", set_as_current=False)
    register_notice_task(app, lambda: bench.office)
    app.tasks[NOTICE_TASK]("a")
    assert bench.notice().state == NoticeState.MADE


def test_a_sites_choices_come_from_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = site_choices(WorkerSettings(procedure_code="MRB7|99SITE|Brain", probability_map=True))
    assert tuple(chosen.codes.procedure_reported) == ("MRB7", "99SITE", "Brain", None)
    assert chosen.codes.equipment_purpose == DEFAULT_SITE_CODES.equipment_purpose
    assert (chosen.probability_map, chosen.rejection_note) == (True, False)
