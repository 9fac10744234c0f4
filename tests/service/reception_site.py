"""A store, a database and an ingest in a folder, and a clock that is told the time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import select

from core.database import Base, InstanceRow, Sessions, StudyRow, open_engine, open_sessions
from core.study_store import StudyStore
from service.receiving.ingest import Ingest
from service.receiving.reception import Reception
from tests.mr_headers import with_file_meta


class ManualClock:
    """Stands still until moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Site:
    """What a receiver works with."""

    store: StudyStore
    sessions: Sessions
    read_sessions: Sessions
    clock: ManualClock
    ingest: Ingest

    def receive(self, *datasets: Dataset) -> list[Reception]:
        return [
            self.receive_file(write(self.store.temporary_path(), dataset), dataset) for dataset in datasets
        ]

    def receive_file(
        self, path: Path, dataset: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian
    ) -> Reception:
        return self.ingest.accept(
            path,
            sop_class_uid=dataset.SOPClassUID,
            sop_instance_uid=dataset.SOPInstanceUID,
            transfer_syntax_uid=transfer_syntax_uid,
            calling_ae_title="SCANNER",
            peer_address="192.0.2.1",
        )

    def study(self) -> StudyRow:
        with self.read_sessions() as session:
            return session.scalars(select(StudyRow)).one()

    def instances(self) -> list[InstanceRow]:
        with self.read_sessions() as session:
            return list(session.scalars(select(InstanceRow)))

    def stored_files(self) -> list[Path]:
        return [path for path in self.store.instances.rglob("*") if path.is_file()]

    def temporary_files(self) -> list[Path]:
        return list(self.store.temporary_folder.iterdir())

    def quarantine_reasons(self) -> list[str]:
        return [path.read_text() for path in sorted((self.store.root / "quarantine").glob("*.reason.txt"))]


def open_site(folder: Path) -> Site:
    engine = open_engine(f"sqlite:///{folder / 'metserve.db'}")
    Base.metadata.create_all(engine)
    sessions, clock, store = open_sessions(engine), ManualClock(), StudyStore(folder / "data")
    read_sessions = open_sessions(engine, read_only=True)
    return Site(store, sessions, read_sessions, clock, Ingest(store, sessions, clock))


def write(path: Path, dataset: Dataset) -> Path:
    """Write a DICOM file with file meta information."""
    with_file_meta(dataset).save_as(path, enforce_file_format=True)
    return path
