"""Builders of database rows and result files, as the receiver and the worker leave them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ComprehensiveSRStorage, ExplicitVRLittleEndian, SegmentationStorage
from sqlalchemy.orm import Session

from core.database import (
    Base,
    JobRow,
    NoticeRow,
    SeriesRow,
    Sessions,
    StudyRow,
    open_engine,
    open_sessions,
)
from core.job import JobState, Outcome
from core.job_records import REPORT, SELECTION, ResultFile
from core.lesion import Axis, FindingsReport, Lesion, ModelIdentity
from core.notice_records import NoticeState
from core.results import SOP_CLASSES, ResultKind
from core.schema import upgrade
from core.study import AnalysisMode, QualityFlag, SelectedSeries, Selection, SeriesRole, SeriesVerdict
from core.study_store import StudyStore, sha256_of_file
from core.uids import derive_uid
from service.selection.study_assembly import STUDY_ASSEMBLY, StudyAssembly

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
STUDY_UID = "1.2.826.0.1.3680043.8.498.1"
T1_UID, T1_POST_UID = f"{STUDY_UID}.1", f"{STUDY_UID}.2"
PATIENT_NAME, PATIENT_ID = "Canary^Patient", "PID-CANARY"

REPORT_CLASS = ComprehensiveSRStorage
"""Of the small reports here; any SR class would do."""


class MovedClock:
    """A clock that moves when told to."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Records:
    """A database and a store in a folder; migrated as a real one when a test looks at the schema."""

    def __init__(self, folder: Path, *, migrated: bool = False) -> None:
        self.engine = open_engine(f"sqlite:///{folder / 'metserve.db'}")
        if migrated:
            upgrade(self.engine)
        else:
            Base.metadata.create_all(self.engine)
        self.sessions: Sessions = open_sessions(self.engine)
        self.read_sessions: Sessions = open_sessions(self.engine, read_only=True)
        self.store = StudyStore(folder / "store")

    def add_study(self, study_uid: str = STUDY_UID, **fields: Any) -> int:
        with self.sessions.begin() as session:
            study = study_row(study_uid, **fields)
            session.add(study)
            session.flush()
            return study.id

    def add_job(
        self,
        job_id: str = "job-1",
        *,
        state: JobState = JobState.ENCODED,
        lesions: int = 2,
        study_uid: str = STUDY_UID,
        kinds: tuple[str, ...] | None = None,
        **fields: Any,
    ) -> str:
        """Add a job; one that is encoded or delivered has a report and result files."""
        with self.sessions.begin() as session:
            study = session.query(StudyRow).filter_by(study_instance_uid=study_uid).one_or_none()
            if study is None:
                study = study_row(study_uid)
                session.add(study)
            job = job_row(job_id, study, state, **fields)
            session.add(job)
            if state in {JobState.ENCODED, JobState.DELIVERED}:
                present = kinds if kinds is not None else (("seg", "sr") if lesions else ("sr",))
                self._publish(job, lesions, study_uid, present)
        return job_id

    def _publish(self, job: JobRow, lesions: int, study_uid: str, kinds: tuple[str, ...]) -> None:
        job.report = REPORT.dump_python(findings(lesions, study_uid), mode="json")
        job.outcome = Outcome.POSITIVE if lesions else Outcome.NEGATIVE
        folder = self.store.root / "results" / job.id
        folder.mkdir(parents=True)
        job.results = {
            kind: asdict(write_object(self.store, folder / f"{kind}.dcm", sop_class_of(kind), study_uid))
            for kind in kinds
        }

    def add_notice(self, job_id: str = "job-1", state: NoticeState = NoticeState.MADE, **fields: Any) -> None:
        """Give an unsuitable job a notice; one that is made has its file."""
        with self.sessions.begin() as session:
            job = session.get_one(JobRow, job_id)
            times = {"next_ring_at": NOON, "created_at": NOON}
            job.notice = NoticeRow(state=state.value, **(times | fields))
            if state is NoticeState.MADE:
                folder = self.store.root / "results" / job_id
                folder.mkdir(parents=True)
                study_uid = job.study.study_instance_uid
                file = write_object(self.store, folder / "notice.dcm", sop_class_of("notice"), study_uid)
                job.results = {"notice": asdict(file)}

    def result_path(self, job_id: str, kind: str) -> Path:
        return self.store.root / "results" / job_id / f"{kind}.dcm"

    def job(self, job_id: str = "job-1") -> JobRow:
        with self.sessions() as session:
            job = session.get_one(JobRow, job_id)
            list(job.deliveries)
            return job

    def change(self, alter: Callable[[Session], object]) -> None:
        with self.sessions.begin() as session:
            alter(session)


def sop_class_of(kind: str) -> UID:
    return REPORT_CLASS if kind == "sr" else UID(SOP_CLASSES[ResultKind(kind)])


def study_row(study_uid: str = STUDY_UID, **fields: Any) -> StudyRow:
    values = {
        "patient_id": PATIENT_ID,
        "patient_name": PATIENT_NAME,
        "patient_birth_date": "19600101",
        "patient_sex": "F",
        "accession_number": "ACC-CANARY",
        "study_date": "20261122",
        "study_description": "SRS planning",
        "first_received_at": NOON,
        "last_received_at": NOON,
        "awaits_assembly": False,
        "assembly": STUDY_ASSEMBLY.dump_python(study_assembly(study_uid), mode="json"),
    }
    study = StudyRow(study_instance_uid=study_uid, **(values | fields))
    study.series = [
        SeriesRow(
            series_instance_uid=f"{study_uid}.{n}", modality="MR", series_number=n, series_description=name
        )
        for n, name in ((1, "t1_mprage"), (2, "t1_mprage_post"))
    ]
    return study


def job_row(job_id: str, study: StudyRow, state: JobState, **fields: Any) -> JobRow:
    values = {
        "revision": 1,
        "selection": SELECTION.dump_python(selection(study.study_instance_uid), mode="json"),
        "created_at": NOON,
        "updated_at": NOON,
        "progress": 0.4,
        "stage_seconds": {"prepare": 3.5},
    }
    return JobRow(id=job_id, study=study, state=state.value, **(values | fields))


def selection(study_uid: str = STUDY_UID) -> Selection:
    verdicts = tuple(
        SeriesVerdict(f"{study_uid}.{n}", n, name, "MR", 176, role, score, (reason,))
        for n, name, role, score, reason in (
            (1, "t1_mprage", SeriesRole.T1, 6.0, "three-dimensional T1"),
            (2, "t1_mprage_post", SeriesRole.T1_POST, 9.0, "contrast agent named"),
        )
    )
    return Selection(
        mode=AnalysisMode.FULL,
        selected=(SelectedSeries(SeriesRole.T1_POST, f"{study_uid}.2", ("1.2.3",)),),
        verdicts=verdicts,
    )


def study_assembly(study_uid: str = STUDY_UID) -> StudyAssembly:
    return StudyAssembly(selection(study_uid).verdicts, SeriesRole.T1, "waits for a T1", NOON)


def lesion(number: int) -> Lesion:
    axis = Axis((-10.5, 20.0, 30.0), (-4.5, 20.0, 30.0), 6.0)
    return Lesion(
        number=number,
        tracking_id=f"BM-{number:02d}",
        tracking_uid=f"2.25.{number}",
        volume_mm3=100.0 / number,
        filled_volume_mm3=110.0 / number,
        centroid_lps_mm=(-7.5, 20.0, 30.0),
        extent_min_lps_mm=(-10.5, 17.0, 27.0),
        extent_max_lps_mm=(-4.5, 23.0, 33.0),
        longest_diameter_mm=6.2,
        slice_index_k=88,
        long_axis=axis,
        short_axis=axis,
        mean_probability=0.8,
        peak_probability=0.99,
        members_agreeing=7,
        members_total=8,
    )


def findings(lesions: int, study_uid: str = STUDY_UID) -> FindingsReport:
    return FindingsReport(
        study_instance_uid=study_uid,
        series_instance_uid=f"{study_uid}.2",
        revision=1,
        mode=AnalysisMode.FULL,
        threshold=0.5,
        model=ModelIdentity("bootstrap", "1", "d" * 64, "full"),
        lesions=tuple(lesion(number) for number in range(1, lesions + 1)),
        flags=(QualityFlag.THICK_SLICES,),
        registration=None,
        brain_volume_mm3=1.4e6,
        software_version="0.1.0",
    )


def write_object(store: StudyStore, path: Path, sop_class_uid: UID, study_uid: str) -> ResultFile:
    """Write a small object of a SOP class: enough for a peer that looks at the identifiers only."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = derive_uid("test", str(path))
    dataset.StudyInstanceUID = study_uid
    dataset.SeriesInstanceUID = derive_uid("test series", str(path))
    dataset.PatientID = PATIENT_ID
    dataset.PatientName = PATIENT_NAME
    dataset.Modality = "SEG" if sop_class_uid == SegmentationStorage else "SR"
    dataset.save_as(path, enforce_file_format=True)
    return ResultFile(
        path=store.relative(path),
        sop_instance_uid=dataset.SOPInstanceUID,
        sop_class_uid=sop_class_uid,
        sha256=sha256_of_file(path),
        size_bytes=path.stat().st_size,
    )
