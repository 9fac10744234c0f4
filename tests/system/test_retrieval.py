"""What is delivered to a PACS joins the study there, and others fetch it unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from core.results import ResultKind
from core.study import SeriesRole
from phantom.study import PhantomStudy
from tests.system.known_results import KnownResults, deliver, write_known_results
from tests.system.peers import Archive, Storescp, getscu, movescu, running, storescu
from tests.system.studies import write_copy

pytestmark = pytest.mark.system

WORKSTATION = "WORKSTATION"

ALWAYS_WRITTEN = {ResultKind.SEG, ResultKind.SR, ResultKind.RTSTRUCT}


@dataclass(frozen=True)
class Retrieved:
    """A study with results in a PACS, and what a third application entity got of it."""

    results: KnownResults
    archive: Archive
    by_move: dict[str, Dataset]
    by_get: dict[str, Dataset]


@pytest.fixture(scope="module")
def retrieved(phantom: PhantomStudy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retrieved]:
    folder = tmp_path_factory.mktemp("retrieval")
    study = write_copy(phantom, folder / "study", "retrieval")
    results = write_known_results(study, folder / "results")
    archive, workstation = Archive(folder / "pacs"), Storescp(folder / "moved", WORKSTATION)
    with running(archive, workstation):
        storescu([study.folder], archive.dicom_port, called=archive.AE_TITLE)
        deliver(results, archive)
        archive.introduce(WORKSTATION, workstation.port)
        movescu(archive, WORKSTATION, study.study_instance_uid)
        getscu(archive, WORKSTATION, study.study_instance_uid, folder / "got")
        yield Retrieved(results, archive, _by_uid(workstation.folder), _by_uid(folder / "got"))


def _by_uid(folder: Path) -> dict[str, Dataset]:
    datasets = [dcmread(path) for path in folder.iterdir()]
    return {str(dataset.SOPInstanceUID): dataset for dataset in datasets}


def test_every_kind_of_a_positive_study_is_delivered(retrieved: Retrieved) -> None:
    assert retrieved.results.encoded.objects.keys() >= ALWAYS_WRITTEN


def test_the_pacs_has_one_study_of_one_patient_with_images_and_results(retrieved: Retrieved) -> None:
    (study,) = retrieved.archive.http.get("/studies?expand").json()
    assert study["MainDicomTags"]["StudyInstanceUID"] == retrieved.results.study.study_instance_uid
    assert study["PatientMainDicomTags"]["PatientID"] == "PHANTOM-SYSTEM"
    assert len(study["Series"]) == 2 + len(retrieved.results.encoded.objects)


def test_dicomweb_lists_every_result_in_the_study(retrieved: Retrieved) -> None:
    uid = retrieved.results.study.study_instance_uid
    root = retrieved.archive.DICOMWEB_ROOT
    answer = retrieved.archive.http.get(f"{root}studies/{uid}/instances").raise_for_status().json()
    listed = {
        instance["00080018"]["Value"][0]: instance["0020000D"]["Value"][0]
        for instance in answer
        if instance["00080060"]["Value"][0] != "MR"
    }
    assert listed == {str(d.SOPInstanceUID): uid for d in retrieved.results.encoded.objects.values()}


@pytest.mark.parametrize("kind", ResultKind)
@pytest.mark.parametrize("way", ["by_move", "by_get"])
def test_a_workstation_gets_every_result_as_it_was_encoded(
    retrieved: Retrieved, way: str, kind: ResultKind
) -> None:
    encoded = retrieved.results.encoded.objects.get(kind)
    if encoded is None:
        pytest.skip(f"a first revision of a positive study has no {kind}")
    got = getattr(retrieved, way)[str(encoded.SOPInstanceUID)]
    assert got == encoded
    assert got.file_meta.TransferSyntaxUID == encoded.file_meta.TransferSyntaxUID


@pytest.mark.parametrize("way", ["by_move", "by_get"])
def test_a_workstation_gets_the_images_with_the_results(retrieved: Retrieved, way: str) -> None:
    images = retrieved.results.study.uids(SeriesRole.T1, SeriesRole.T1_POST)
    results = {str(d.SOPInstanceUID) for d in retrieved.results.encoded.objects.values()}
    assert getattr(retrieved, way).keys() == images | results
