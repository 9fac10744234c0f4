"""Query, retrieval and storage commitment with other people's programs: dcmtk and Orthanc."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import select

from core.database import CommitmentRow, JobRow, StudyRow, open_engine, open_sessions
from core.job import JobState
from core.study_store import StudyStore
from tests.service.catalogued import mr_slice
from tests.service.service_records import STUDY_UID, job_row, sop_class_of, write_object
from tests.system.metserve import Metserve
from tests.system.peers import Archive, Storescp, free_port, running, storescu, wait_until

pytestmark = pytest.mark.system

SLICES = 6
LIMIT_S = 30.0
EVERY_RIGHT = ["echo", "store", "query", "retrieve"]


class Door(Metserve):
    """The receive role alone, with two peers that have an address."""

    def __init__(self, folder: Path, archive: Archive, viewer: Storescp) -> None:
        peers = [
            {"ae_title": "TESTPACS", "rights": EVERY_RIGHT, "host": "127.0.0.1", "port": archive.dicom_port},
            {"ae_title": "VIEWER", "rights": EVERY_RIGHT, "host": "127.0.0.1", "port": viewer.port},
            {"ae_title": "STORESCU"},
        ]
        super().__init__(
            folder, dicom_port=free_port(), programs=("receive",), receiver_peers=json.dumps(peers)
        )

    def start(self) -> None:
        for process in self.processes.values():
            process.start()
        self.wait_for_receiver()


@dataclass(frozen=True)
class Hospital:
    door: Door
    archive: Archive
    viewer: Storescp


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    folder = tmp_path_factory.mktemp("query-retrieve")
    viewer = Storescp(folder / "viewer", "VIEWER")
    archive = Archive(folder / "archive")
    door = Door(folder / "metserve", archive, viewer)
    with running(viewer, archive, door):
        archive.introduce("METSERVE", door.dicom_port)
        storescu([write_slices(folder / "study")], door.dicom_port, called="METSERVE")
        publish_report(door)
        hospital = Hospital(door, archive, viewer)
        wait_until(
            lambda: len(find(hospital, "SERIES", f"StudyInstanceUID={STUDY_UID}")) == 2,
            LIMIT_S,
            "the report is indexed",
        )
        yield hospital


def write_slices(folder: Path) -> Path:
    folder.mkdir()
    for number in range(1, SLICES + 1):
        dataset = mr_slice(number)
        dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20261123", "101500", "ACC1"
        dataset.ensure_file_meta()
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        dataset.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder


def publish_report(door: Door) -> None:
    """Leave a job as a worker leaves it."""
    store = StudyStore(door.data)
    path = store.results_folder("job-1", 1) / "sr.dcm"
    file = write_object(store, path, sop_class_of("sr"), STUDY_UID)
    engine = open_engine(door.database_url)
    try:
        with open_sessions(engine).begin() as session:
            study = session.scalars(select(StudyRow).where(StudyRow.study_instance_uid == STUDY_UID)).one()
            row = job_row("job-1", study, JobState.DELIVERED)
            row.results = {"sr": {name: getattr(file, name) for name in file.__slots__}}
            session.add(row)
    finally:
        engine.dispose()


def dcmtk(hospital: Hospital, program: str, *options: str) -> str:
    command = ["env", "TCP_NODELAY=1", program, "-v", "-aet", "VIEWER", "-aec", "METSERVE", *options]
    command += ["127.0.0.1", str(hospital.door.dicom_port)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout + finished.stderr


def find(hospital: Hospital, level: str, *keys: str, model: str = "-S") -> list[str]:
    """Return findscu's answers, the text of each."""
    options = [part for key in (f"QueryRetrieveLevel={level}", *keys) for part in ("-k", key)]
    said = dcmtk(hospital, "findscu", model, *options)
    pending = r"Find Response: \d+ \(Pending\)(.*?)(?=\nI: -{20}|\nI: Received Final)"
    return re.findall(pending, said, re.DOTALL)


@pytest.mark.parametrize(
    "keys",
    [
        ("StudyInstanceUID",),
        ("StudyInstanceUID", "PatientName=canary*"),
        ("StudyInstanceUID", "PatientID=PID-?ANARY"),
        ("StudyInstanceUID", "StudyDate=20261101-20261130", "ModalitiesInStudy=SR"),
        (f"StudyInstanceUID={STUDY_UID}\\1.2.3", "AccessionNumber=ACC1"),
    ],
)
def test_findscu_finds_the_study(hospital: Hospital, keys: tuple[str, ...]) -> None:
    (study,) = find(hospital, "STUDY", *keys, "NumberOfStudyRelatedInstances")

    assert STUDY_UID in study
    assert f"[{SLICES + 1}" in study


def test_findscu_does_not_find_what_is_not_there(hospital: Hospital) -> None:
    assert find(hospital, "STUDY", "StudyInstanceUID", "StudyDate=-20261031") == []
    assert find(hospital, "STUDY", "StudyInstanceUID", "PatientName=Doe*") == []


def test_findscu_goes_down_to_series_images_and_up_to_patients(hospital: Hospital) -> None:
    study, series = f"StudyInstanceUID={STUDY_UID}", f"SeriesInstanceUID={STUDY_UID}.1"

    assert len(find(hospital, "SERIES", study, "Modality=MR")) == 1
    assert len(find(hospital, "IMAGE", study, series, "SOPInstanceUID")) == SLICES
    assert len(find(hospital, "IMAGE", study, series, "InstanceNumber=2")) == 1
    assert len(find(hospital, "PATIENT", "PatientID", model="-P")) == 1


def test_a_query_over_all_studies_images_is_refused(hospital: Hospital) -> None:
    said = dcmtk(hospital, "findscu", "-S", "-k", "QueryRetrieveLevel=IMAGE", "-k", "SOPInstanceUID")

    assert "DataSetDoesNotMatchSOPClass" in said


@pytest.mark.parametrize(
    ("options", "number"),
    [
        (("-k", "QueryRetrieveLevel=STUDY"), SLICES + 1),
        (("-k", "QueryRetrieveLevel=SERIES", "-k", f"SeriesInstanceUID={STUDY_UID}.1"), SLICES),
        (
            (
                *("-k", "QueryRetrieveLevel=IMAGE", "-k", f"SeriesInstanceUID={STUDY_UID}.1"),
                *("-k", f"SOPInstanceUID={STUDY_UID}.1.2"),
            ),
            1,
        ),
    ],
)
def test_getscu_fetches_a_study_a_series_an_image(
    hospital: Hospital, tmp_path: Path, options: tuple[str, ...], number: int
) -> None:
    dcmtk(hospital, "getscu", "-S", "-od", str(tmp_path), *options, "-k", f"StudyInstanceUID={STUDY_UID}")

    fetched = [dcmread(path) for path in tmp_path.iterdir()]
    assert len(fetched) == number
    assert all(len(one.PixelData) == 48 for one in fetched if one.Modality == "MR")


def test_movescu_sends_a_study_to_a_viewer(hospital: Hospital) -> None:
    level = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY_UID}")
    dcmtk(hospital, "movescu", "-S", "-aem", "VIEWER", *level)

    assert len(list(hospital.viewer.folder.iterdir())) == SLICES + 1


def test_movescu_to_an_unknown_destination_is_told_so(hospital: Hospital) -> None:
    command = ["movescu", "-v", "-S", "-aet", "VIEWER", "-aec", "METSERVE", "-aem", "NOWHERE"]
    command += ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY_UID}"]
    finished = subprocess.run(
        [*command, "127.0.0.1", str(hospital.door.dicom_port)], capture_output=True, text=True, timeout=60
    )

    assert "MoveDestinationUnknown" in (finished.stdout + finished.stderr).replace(" ", "")


def test_orthanc_queries_and_retrieves(hospital: Hospital) -> None:
    http = hospital.archive.http
    query = {"Level": "Study", "Query": {"PatientID": "PID-CANARY"}}
    answer = http.post("/modalities/METSERVE/query", json=query).raise_for_status().json()
    assert http.get(f"{answer['Path']}/answers").json() == ["0"]

    http.post(f"{answer['Path']}/retrieve", content="TESTPACS", timeout=60).raise_for_status()

    found = hospital.archive.instances(STUDY_UID)
    assert {modality: len(instances) for modality, instances in found.items()} == {"MR": SLICES, "SR": 1}


def test_orthanc_gets_a_commitment_for_what_it_sent(hospital: Hospital) -> None:
    http = hospital.archive.http
    known, unknown = f"{STUDY_UID}.1.1", f"{STUDY_UID}.1.99"
    mr = "1.2.840.10008.5.1.4.1.1.4"
    asked = {"DicomInstances": [[mr, known], [mr, unknown]], "Timeout": 10}
    answer = http.post("/modalities/METSERVE/storage-commitment", json=asked).raise_for_status().json()

    def status() -> str:
        return str(http.get(answer["Path"]).json()["Status"])

    wait_until(lambda: status() != "Pending", LIMIT_S, "the commitment is reported")
    report = http.get(answer["Path"]).json()
    assert report["Status"] == "Failure"
    assert [one["SOPInstanceUID"] for one in report["Success"]] == [known]
    assert [one["SOPInstanceUID"] for one in report["Failures"]] == [unknown], report["Failures"]


def test_a_reported_commitment_is_kept_as_such(hospital: Hospital) -> None:
    def states() -> set[str]:
        engine = open_engine(hospital.door.database_url)
        try:
            with open_sessions(engine, read_only=True)() as session:
                return set(session.scalars(select(CommitmentRow.state)))
        finally:
            engine.dispose()

    wait_until(lambda: states() == {"reported"}, LIMIT_S, "the report is noted")


def test_the_job_is_left_alone(hospital: Hospital) -> None:
    engine = open_engine(hospital.door.database_url)
    try:
        with open_sessions(engine, read_only=True)() as session:
            states = set(session.scalars(select(JobRow.state).where(JobRow.id == "job-1")))
    finally:
        engine.dispose()
    assert states == {"delivered"}
