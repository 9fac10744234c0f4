"""The catalogue's statements on PostgreSQL: the same answers as on SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset
from sqlalchemy import Engine

from core.database import open_engine, open_sessions
from core.schema import upgrade
from core.study_store import StudyStore
from service.access.principal import EVERYBODY
from service.catalogue.instances import instances
from service.catalogue.query import Level, search
from tests.service.catalogued import index, mr_slice, receive
from tests.service.service_records import STUDY_UID, Records
from tests.system.peers import Postgres

pytestmark = pytest.mark.system


class PostgresRecords(Records):
    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        upgrade(engine)
        self.sessions = open_sessions(engine)
        self.read_sessions = open_sessions(engine, read_only=True)
        self.store = StudyStore(folder / "store")


def test_postgresql_answers_as_sqlite_does(postgres: Postgres, tmp_path: Path) -> None:
    engine = open_engine(postgres.new_database("catalogue"))
    try:
        records = PostgresRecords(engine, tmp_path)
        for number in (3, 1, 2):
            receive(records, mr_slice(number), patient_name="Müller^Jörg=Mü", study_time="101500.5")
        records.add_job()
        index(records)
        check_answers(records)
    finally:
        engine.dispose()


def check_answers(records: Records) -> None:
    for keyword, value in (
        ("PatientName", "MÜLLER*"),
        ("PatientName", "mü"),
        ("PatientID", "PID?CANARY"),
        ("StudyTime", "1015-1016"),
        ("StudyTime", "-1015"),
        ("StudyDate", "20261101-"),
        ("ModalitiesInStudy", "SEG"),
    ):
        (study,) = found(records, Level.STUDY, **{keyword: value})
        assert (study.NumberOfStudyRelatedSeries, study.NumberOfStudyRelatedInstances) == (3, 5)
    for keyword, value in (("PatientID", "pid*"), ("PatientID", "P_D*"), ("StudyTime", "1016-")):
        assert found(records, Level.STUDY, **{keyword: value}) == []
    sizes = {one.Modality: one.NumberOfSeriesRelatedInstances for one in found(records, Level.SERIES)}
    assert sizes == {"MR": 3, "SEG": 1, "SR": 1}
    images = found(records, Level.IMAGE, Modality="MR")
    assert [image.InstanceNumber for image in images] == [1, 2, 3]
    assert len(found(records, Level.IMAGE, InstanceNumber=2)) == 1
    assert len(found(records, Level.PATIENT)) == 1
    with records.read_sessions() as session:
        assert len([*instances(session, records.store, EVERYBODY, study_instance_uid=STUDY_UID)]) == 5


def found(records: Records, level: Level, **attributes: object) -> list[Dataset]:
    keys = Dataset()
    for keyword, value in attributes.items():
        setattr(keys, keyword, value)
    with records.read_sessions() as session:
        return search(session, level, keys, EVERYBODY, limit=100)
