"""The test PACS of deploy/, run with a real Orthanc: what it sends to metserve and what it does not."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from tests.system.peers import REPOSITORY, Orthanc, Server, free_port, running, storescu, wait_until

LIMIT_S = 60.0
QUIET_S = 5.0
"""Longer than a series takes to become stable and be routed."""

pytestmark = pytest.mark.system


@dataclass(frozen=True)
class Routing:
    """The test PACS, and a folder in which what it routes arrives."""

    pacs: Orthanc
    routed: Path

    def send(self, folder: Path, calling_ae_title: str) -> None:
        storescu([folder], self.pacs.dicom_port, called=self.pacs.AE_TITLE, calling=calling_ae_title)

    def routed_series(self) -> set[str]:
        files = [path for path in self.routed.iterdir() if path.is_file()]
        return {str(dcmread(path).SeriesInstanceUID) for path in files}

    def stable_series(self) -> int:
        return sum(series["IsStable"] for series in self.pacs.http.get("/series?expand").json())


@pytest.fixture
def routing(tmp_path: Path) -> Iterator[Routing]:
    routed = tmp_path / "routed"
    routed.mkdir()
    metserve_port = free_port()
    pacs = Orthanc(tmp_path / "pacs", metserve_port)
    scp = Server(
        ["storescp", "-aet", "METSERVE", "-od", str(routed), str(metserve_port)], tmp_path / "scp.log"
    )
    with running(scp, pacs):
        yield Routing(pacs, routed)


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


def test_mr_is_routed_and_what_is_not_mr_or_came_from_metserve_is_not(
    routing: Routing, tmp_path: Path
) -> None:
    routing.send(write_series(tmp_path / "mr", "2.25.11", MRImageStorage, "MR"), "SCANNER")
    routing.send(write_series(tmp_path / "ct", "2.25.12", CTImageStorage, "CT"), "SCANNER")
    routing.send(write_series(tmp_path / "back", "2.25.13", MRImageStorage, "MR"), "METSERVE")

    wait_until(lambda: "2.25.11" in routing.routed_series(), LIMIT_S, "the MR series is routed")
    wait_until(lambda: routing.stable_series() == 3, LIMIT_S, "every series is stable")
    time.sleep(QUIET_S)

    assert routing.routed_series() == {"2.25.11"}


def test_the_containers_name_of_metserve_replaces_the_default() -> None:
    text = (REPOSITORY / "deploy" / "test-pacs" / "orthanc.json").read_text(encoding="utf-8")
    (variable,) = re.findall(r'"Host": "\$\{(\w+):-127\.0\.0\.1\}"', text)
    assert f"{variable}: receiver" in (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")
