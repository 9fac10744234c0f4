"""The test PACS of deploy/, run with a real Orthanc: what it sends to metserve and what it does not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from tests.system.peers import Server, free_port, listens, wait_until

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 60.0
STABLE_AGE_S = 1
QUIET_S = 5.0
"""Longer than a series takes to become stable and be routed."""

pytestmark = pytest.mark.system


@dataclass(frozen=True)
class TestPacs:
    """Orthanc with the shipped files, and a folder in which what it routes arrives."""

    __test__ = False

    dicom_port: int
    routed: Path
    http: httpx.Client

    def send(self, folder: Path, calling_ae_title: str) -> None:
        command = ["storescu", "-aet", calling_ae_title, "-aec", "TESTPACS", "+sd"]
        subprocess.run(
            [*command, "127.0.0.1", str(self.dicom_port), str(folder)], check=True, timeout=LIMIT_S
        )

    def routed_series(self) -> set[str]:
        files = [path for path in self.routed.iterdir() if path.is_file()]
        return {str(dcmread(path).SeriesInstanceUID) for path in files}

    def stable_series(self) -> int:
        return sum(series["IsStable"] for series in self.http.get("/series?expand").json())


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[TestPacs]:
    folder, routed = tmp_path / "pacs", tmp_path / "routed"
    shutil.copytree(ROOT / "deploy" / "test-pacs", folder)
    (folder / "db").mkdir()
    routed.mkdir()
    dicom_port, http_port, metserve_port = free_port(), free_port(), free_port()
    text = (folder / "orthanc.json").read_text(encoding="utf-8")
    for shipped, ours in (
        ('"DicomPort": 4242', f'"DicomPort": {dicom_port}'),
        ('"HttpPort": 8042', f'"HttpPort": {http_port}'),
        ('"Port": 11112', f'"Port": {metserve_port}'),
        ('"StableAge": 5', f'"StableAge": {STABLE_AGE_S}'),
    ):
        assert text.count(shipped) == 1
        text = text.replace(shipped, ours)
    (folder / "orthanc.json").write_text(text, encoding="utf-8")
    env = {**os.environ, "TEST_PACS_FOLDER": str(folder / "db")}
    scp = Server(
        ["storescp", "-aet", "METSERVE", "-od", str(routed), str(metserve_port)], tmp_path / "scp.log"
    )
    orthanc = Server(["Orthanc", "orthanc.json"], tmp_path / "orthanc.log", env, folder)
    with httpx.Client(base_url=f"http://127.0.0.1:{http_port}", auth=("test", "test"), timeout=10) as http:
        try:
            scp.start()
            orthanc.start()
            wait_until(lambda: http.get("/system").is_success, LIMIT_S, "Orthanc answers")
            wait_until(lambda: listens(dicom_port), LIMIT_S, "Orthanc listens")
            yield TestPacs(dicom_port, routed, http)
        finally:
            orthanc.stop()
            scp.stop()


def write_series(folder: Path, series_uid: str, sop_class_uid: str, modality: str) -> Path:
    folder.mkdir()
    for number in range(3):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = sop_class_uid
        dataset.SOPInstanceUID = f"{series_uid}.{number + 1}"
        dataset.StudyInstanceUID = "2.25.1"
        dataset.SeriesInstanceUID = series_uid
        dataset.Modality = modality
        dataset.PatientID = "TEST"
        dataset.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder


def test_mr_is_routed_and_what_is_not_mr_or_came_from_metserve_is_not(pacs: TestPacs, tmp_path: Path) -> None:
    pacs.send(write_series(tmp_path / "mr", "2.25.11", MRImageStorage, "MR"), "SCANNER")
    pacs.send(write_series(tmp_path / "ct", "2.25.12", CTImageStorage, "CT"), "SCANNER")
    pacs.send(write_series(tmp_path / "back", "2.25.13", MRImageStorage, "MR"), "METSERVE")

    wait_until(lambda: "2.25.11" in pacs.routed_series(), LIMIT_S, "the MR series is routed")
    wait_until(lambda: pacs.stable_series() == 3, LIMIT_S, "every series is stable")
    time.sleep(QUIET_S)

    assert pacs.routed_series() == {"2.25.11"}


def test_the_containers_name_of_metserve_replaces_the_default() -> None:
    text = (ROOT / "deploy" / "test-pacs" / "orthanc.json").read_text(encoding="utf-8")
    (variable,) = re.findall(r'"Host": "\$\{(\w+):-127\.0\.0\.1\}"', text)
    assert f"{variable}: receiver" in (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
