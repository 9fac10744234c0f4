"""DICOMweb with other people's clients: dicomweb-client, Orthanc, and OHIF in a browser."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import httpx
import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGLSLossless

from core.results import ResultKind
from core.study import SeriesRole
from phantom.study import PhantomStudy
from tests.system.known_results import KnownResults, write_known_results
from tests.system.metserve import Metserve
from tests.system.ohif import OpenStudy, ViewerServer, headless_browser
from tests.system.peers import Archive, free_port, running, storescu, wait_until
from tests.system.studies import write_copy

pytestmark = pytest.mark.system

DRAW_LIMIT_S = 60.0
MIB = 1024**2

PICTURES = os.environ.get("METSERVE_TEST_PICTURES_DIR")
"""Where a picture of the viewer is kept, if anywhere."""


class Api(Metserve):
    """REST and DICOMweb alone: nothing is received by DIMSE, nothing analysed."""

    DICOMWEB_ROOT = "/dicomweb/"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, dicom_port=free_port(), programs=("api",))

    def start(self) -> None:
        super().start()
        self.http.base_url = httpx.URL(self.url)

    def wait_for_receiver(self) -> None:
        """There is none."""

    @property
    def dicomweb(self) -> str:
        return f"{self.url}/dicomweb"

    def resident_bytes(self) -> int:
        process = self.processes["api"].process
        assert process is not None, "the API is down"
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        (kib,) = (line.split()[1] for line in lines if line.startswith("VmRSS"))
        return int(kib) * 1024

    def uploads(self) -> list[Path]:
        return list((self.data / "spool" / "uploads").iterdir())


@dataclass(frozen=True)
class Site:
    """A running API with a study and its results, brought in by STOW-RS."""

    api: Api
    client: DICOMwebClient
    results: KnownResults

    @property
    def study_uid(self) -> str:
        return self.results.study.study_instance_uid

    def address(self, url: str) -> str:
        """Return a URL with the port: dicomweb-client leaves it out of the Host it names."""
        return f"{self.api.url}{httpx.URL(url).path}"


@pytest.fixture(scope="module")
def site(phantom: PhantomStudy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("dicomweb")
    study = write_copy(phantom, folder / "study", "dicomweb")
    results = write_known_results(study, folder / "results")
    api = Api(folder / "metserve")
    with running(api):
        client = DICOMwebClient(api.dicomweb)
        files = [path for role in (SeriesRole.T1, SeriesRole.T1_POST) for path in study.series(role)]
        answer = client.store_instances([dcmread(path) for path in files], study.study_instance_uid)
        assert len(answer.ReferencedSOPSequence) == len(files)
        assert "FailedSOPSequence" not in answer
        client.store_instances([dcmread(results.file(kind)) for kind in results.encoded.objects])
        yield Site(api, client, results)


def test_a_study_that_is_stored_is_found_and_comes_back_unchanged(site: Site) -> None:
    (found,) = site.client.search_for_studies(search_filters={"PatientName": "PHANTOM*"})
    assert found["0020000D"]["Value"] == [site.study_uid]
    sent = [path for role in (SeriesRole.T1, SeriesRole.T1_POST) for path in site.results.study.series(role)]
    assert found["00201208"]["Value"] == [len(sent) + len(site.results.encoded.objects)]
    retrieved = {dataset.SOPInstanceUID: dataset for dataset in site.client.iter_study(site.study_uid)}
    for path in sent:
        dataset = dcmread(path)
        assert retrieved[dataset.SOPInstanceUID] == dataset
    for kind in site.results.encoded.objects:
        dataset = dcmread(site.results.file(kind))
        assert retrieved[dataset.SOPInstanceUID] == dataset


def test_metadata_agrees_with_the_files_and_names_where_the_pixels_are(site: Site) -> None:
    metadata = site.client.retrieve_study_metadata(site.study_uid)
    by_uid = {item["00080018"]["Value"][0]: item for item in metadata}
    for path in site.results.study.series(SeriesRole.T1_POST):
        expected = dcmread(path)
        found = Dataset.from_json(by_uid[expected.SOPInstanceUID], lambda _tag, _vr, _uri: b"")
        assert found.PatientName == expected.PatientName
        assert found.ImagePositionPatient == expected.ImagePositionPatient
        (pixels,) = site.client.retrieve_bulkdata(
            site.address(by_uid[expected.SOPInstanceUID]["7FE00010"]["BulkDataURI"])
        )
        assert pixels == expected.PixelData


def test_frames_of_the_segmentation_are_those_that_were_written(site: Site) -> None:
    written = dcmread(site.results.file(ResultKind.SEG))
    numbers = [1, int(written.NumberOfFrames)]
    frames = site.client.retrieve_instance_frames(
        site.study_uid, written.SeriesInstanceUID, written.SOPInstanceUID, numbers
    )
    bits = written.Rows * written.Columns
    for number, frame in zip(numbers, frames, strict=True):
        found = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")[:bits]
        assert (found.reshape(written.Rows, written.Columns) == written.pixel_array[number - 1]).all()


def test_an_image_is_rendered(site: Site) -> None:
    dataset = dcmread(site.results.study.series(SeriesRole.T1_POST)[10])
    uids = (site.study_uid, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    picture = Image.open(
        io.BytesIO(site.client.retrieve_instance_rendered(*uids, media_types=("image/png",)))
    )
    assert picture.size == (dataset.Columns, dataset.Rows)
    shown = np.asarray(picture).ravel()
    assert np.corrcoef(shown, dataset.pixel_array.ravel())[0, 1] > 0.9
    framed = site.client.retrieve_instance_frames_rendered(*uids, [1], media_types=("image/jpeg",))
    assert Image.open(io.BytesIO(framed)).format == "JPEG"


def test_a_compressed_image_comes_as_stored_or_decoded(site: Site) -> None:
    dataset = dcmread(site.results.study.series(SeriesRole.T1)[0])
    expected = dataset.pixel_array
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.91", "2.25.91.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.91.1.1"
    dataset.compress(JPEGLSLossless, generate_instance_uid=False)
    site.client.store_instances([dataset])
    uids = ("2.25.91", "2.25.91.1", "2.25.91.1.1")
    stored = site.client.retrieve_instance(*uids, media_types=(("application/dicom", "*"),))
    assert stored.PixelData == dataset.PixelData
    (frame,) = site.client.retrieve_instance_frames(*uids, [1], media_types=(("image/jls", JPEGLSLossless),))
    assert frame in dataset.PixelData
    (frame,) = site.client.retrieve_instance_frames(*uids, [1], media_types=("application/octet-stream",))
    assert (np.frombuffer(frame, expected.dtype).reshape(expected.shape) == expected).all()


def test_orthanc_stores_searches_and_retrieves(site: Site, tmp_path: Path, phantom: PhantomStudy) -> None:
    study = write_copy(phantom, tmp_path / "study", "dicomweb orthanc")
    archive = Archive(tmp_path / "archive")
    with running(archive):
        archive.http.timeout = 120
        storescu([study.folder], archive.dicom_port, called=archive.AE_TITLE)
        server = "/dicom-web/servers/metserve"
        archive.http.put(server, json={"Url": site.api.dicomweb}).raise_for_status()
        (stored,) = archive.http.post("/tools/lookup", content=study.study_instance_uid).json()
        archive.http.post(
            f"{server}/stow", json={"Resources": [stored["ID"]], "Synchronous": True}
        ).raise_for_status()
        asked = {"Uri": "/studies", "Arguments": {"StudyInstanceUID": study.study_instance_uid}}
        (found,) = archive.http.post(f"{server}/get", json=asked).raise_for_status().json()
        everything = study.uids(SeriesRole.T1, SeriesRole.T1_POST)
        assert found["00201208"]["Value"] == [len(everything)]
        archive.http.delete(f"/studies/{stored['ID']}").raise_for_status()
        wanted = {"Resources": [{"Study": study.study_instance_uid}], "Synchronous": True}
        archive.http.post(f"{server}/retrieve", json=wanted).raise_for_status()
        assert len(archive.instances(study.study_instance_uid)["MR"]) == len(everything)


def test_an_upload_of_any_size_leaves_the_memory_flat(site: Site) -> None:
    head = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
    before = site.api.resident_bytes()

    def body() -> Iterator[bytes]:
        yield head
        yield from repeat(os.urandom(MIB), 200)
        yield b"\r\n--b--\r\n"

    kind = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}
    reply = httpx.post(f"{site.api.dicomweb}/studies", content=body(), headers=kind, timeout=120)
    assert reply.status_code == 409
    assert site.api.resident_bytes() - before < 50 * MIB
    assert not site.api.uploads()


def test_a_body_that_ends_before_its_announced_length_leaves_nothing(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", httpx.URL(site.api.url).port or 0)) as connection:
        connection.sendall(
            b"POST /dicomweb/studies HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
            b'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n\r\n'
            b"--b\r\nContent-Type: application/dicom\r\n\r\n" + b"x" * 100_000
        )
        wait_until(lambda: bool(site.api.uploads()), DRAW_LIMIT_S, "the upload has begun")
    wait_until(lambda: not site.api.uploads(), DRAW_LIMIT_S, "the upload is gone")


def test_ohif_lists_the_study_and_draws_its_segmentation(site: Site) -> None:
    server = ViewerServer(site.api)
    with running(server), headless_browser() as browser:
        view = OpenStudy(browser, server, site.study_uid)
        expected = {f"{d.Modality} {d.SeriesDescription}" for d in site.results.encoded.objects.values()}
        wait_until(lambda: expected <= set(view.series()), DRAW_LIMIT_S, "every result is listed")
        description = str(site.results.encoded.objects[ResultKind.SEG].SeriesDescription)
        names = [lesion.tracking_id for lesion in site.results.findings.lesions]
        assert view.load_regions(description) == names
        view.go_to(names[0])
        assert view.voxel_count(names[0]) == (site.results.findings.label_map_kji == 1).sum()
        if PICTURES is not None:
            view.save(Path(PICTURES) / "ohif-dicomweb.png")
        view.close()
