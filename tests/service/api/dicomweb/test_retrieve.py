"""WADO-RS: instances, metadata, frames, bulk data and pictures, in the forms clients take."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from core.audit import AuditKind
from service.access.principal import Principal, Role
from service.api.parts import principal_of
from tests.mr_headers import STUDY_UID
from tests.service.compressed_images import COLUMNS, ROWS, image, ramp, write_image
from tests.service.dicomweb_desk import DicomWebDesk

STUDY = f"/dicomweb/studies/{STUDY_UID}"
SERIES = f"{STUDY}/series/{STUDY_UID}.2"
FIRST = f"{SERIES}/instances/{STUDY_UID}.2.1"
ANY_DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
EXPLICIT_DICOM = 'multipart/related; type="application/dicom"'
OCTETS = 'multipart/related; type="application/octet-stream"'


@pytest.fixture
def desk(tmp_path: Path) -> DicomWebDesk:
    return DicomWebDesk(tmp_path)


def store(desk: DicomWebDesk, folder: Path, syntax: UID = ExplicitVRLittleEndian, **made: Any) -> bytes:
    content = write_image(folder, syntax, image(**made)).read_bytes()
    assert desk.store(content).status_code == 200
    return content


def parts(reply: httpx.Response) -> list[tuple[str, bytes]]:
    """Return content type and content of each part."""
    assert reply.status_code in (200, 206), reply.text
    head = f"Content-Type: {reply.headers['Content-Type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + reply.content)
    return [(part["Content-Type"], part.get_payload(decode=True)) for part in message.get_payload()]


def payloads(reply: httpx.Response) -> Iterator[Dataset]:
    return (dcmread(io.BytesIO(content)) for _, content in parts(reply))


def test_a_study_comes_as_it_is_stored(desk: DicomWebDesk, tmp_path: Path) -> None:
    stored = [store(desk, tmp_path, index=n) for n in range(3)]
    for path in (STUDY, SERIES):
        reply = desk.client.get(path, headers={"Accept": ANY_DICOM})
        assert [content for _, content in parts(reply)] == stored
    (one,) = parts(desk.client.get(FIRST, headers={"Accept": ANY_DICOM}))
    assert one == ("application/dicom", stored[0])


def test_an_instance_comes_by_itself_where_that_is_asked_for(desk: DicomWebDesk, tmp_path: Path) -> None:
    stored = store(desk, tmp_path)
    reply = desk.client.get(FIRST, headers={"Accept": "application/dicom"})
    assert (reply.headers["Content-Type"], reply.content) == ("application/dicom", stored)


def test_implicit_files_become_explicit_for_a_client_that_names_no_syntax(
    desk: DicomWebDesk, tmp_path: Path
) -> None:
    store(desk, tmp_path, ImplicitVRLittleEndian)
    (dataset,) = payloads(desk.client.get(FIRST, headers={"Accept": EXPLICIT_DICOM}))
    assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert (dataset.pixel_array == ramp()).all()


def test_compressed_files_come_only_to_those_who_take_them(desk: DicomWebDesk, tmp_path: Path) -> None:
    stored = store(desk, tmp_path, JPEGLSLossless)
    assert desk.client.get(FIRST, headers={"Accept": EXPLICIT_DICOM}).status_code == 406
    named = f'multipart/related; type="application/dicom"; transfer-syntax={JPEGLSLossless}'
    for accept in (named, ANY_DICOM, "*/*"):
        (part,) = parts(desk.client.get(FIRST, headers={"Accept": accept}))
        assert part[1] == stored


def test_of_a_mixed_study_comes_what_can_come_and_the_status_says_so(
    desk: DicomWebDesk, tmp_path: Path
) -> None:
    stored = store(desk, tmp_path)
    store(desk, tmp_path, RLELossless, index=1)
    reply = desk.client.get(STUDY, headers={"Accept": EXPLICIT_DICOM})
    assert (reply.status_code, [content for _, content in parts(reply)]) == (206, [stored])


@pytest.mark.parametrize("accept", ["nonsense", "text/html", "application/dicom+xml", "", ";;,,", "video/*"])
@pytest.mark.parametrize("resource", ["", "/metadata", "/frames/1", "/rendered", "/thumbnail"])
def test_nonsense_is_not_acceptable(desk: DicomWebDesk, tmp_path: Path, accept: str, resource: str) -> None:
    store(desk, tmp_path)
    reply = desk.client.get(FIRST + resource, headers={"Accept": accept})
    assert reply.status_code == 406
    assert reply.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    [
        "/dicomweb/studies/1.2.3",
        f"{STUDY}/metadata",
        f"{STUDY}/series/1.2/instances/1.2.3",
        f"{FIRST}/frames/1",
        f"{FIRST}/rendered",
        f"{FIRST}/bulkdata/7FE00010",
        f"{SERIES}/thumbnail",
    ],
)
def test_what_is_not_there_is_404(desk: DicomWebDesk, path: str) -> None:
    assert desk.client.get(path).status_code == 404


def test_anothers_study_is_as_if_it_were_not_there(desk: DicomWebDesk, tmp_path: Path) -> None:
    store(desk, tmp_path)
    visitor = Principal("visitor", frozenset({Role.VIEWER}), frozenset({"SCANNER2"}))
    desk.app.dependency_overrides[principal_of] = lambda: visitor
    paths = ("", "/metadata", "/frames/1", "/rendered", "/thumbnail", "/bulkdata/7FE00010")
    for path in (STUDY, f"{STUDY}/metadata", SERIES, *(FIRST + path for path in paths)):
        reply = desk.client.get(path)
        assert (reply.status_code, reply.json()["detail"]) == (
            404,
            "there is no such study, series or instance",
        )


@pytest.mark.parametrize("uid", ["..%2f..%2fetc%2fpasswd", "%00", "abc", "1" * 65])
def test_what_is_no_uid_is_refused(desk: DicomWebDesk, uid: str) -> None:
    for path in (f"/dicomweb/studies/{uid}", f"{STUDY}/series/{uid}", f"{SERIES}/instances/{uid}"):
        assert desk.client.get(path).status_code in (404, 422)


def test_metadata_holds_the_header_and_says_where_the_pixels_are(desk: DicomWebDesk, tmp_path: Path) -> None:
    store(desk, tmp_path, PatientName="Ærø^Jens", SpecificCharacterSet="ISO_IR 100")
    for path in (STUDY, SERIES, FIRST):
        (found,) = desk.client.get(f"{path}/metadata").json()
        assert found["00080018"] == {"vr": "UI", "Value": [f"{STUDY_UID}.2.1"]}
        assert found["00100010"]["Value"] == [{"Alphabetic": "Ærø^Jens"}]
        assert found["00080005"]["Value"] == ["ISO_IR 192"]
        assert found["7FE00010"] == {"vr": "OW", "BulkDataURI": f"http://metserve{FIRST}/bulkdata/7FE00010"}
        assert list(found) == sorted(found)


def test_metadata_of_a_series_has_an_item_an_instance(desk: DicomWebDesk, tmp_path: Path) -> None:
    for n in range(3):
        store(desk, tmp_path, index=n)
    for _ in range(2):  # the second comes from memory
        numbers = [item["00200013"]["Value"] for item in desk.client.get(f"{SERIES}/metadata").json()]
        assert numbers == [[1], [2], [3]]


def test_values_that_cannot_be_json_are_left_out(desk: DicomWebDesk, tmp_path: Path) -> None:
    dataset = image(ImagedNucleus="1H", FlipAngle=float("9"))
    dataset.add_new(0x00181318, "DS", "1")
    dataset.add_new(0x00189087, "FD", float("nan"))
    path = write_image(tmp_path, ExplicitVRLittleEndian, dataset)
    content = path.read_bytes().replace(b"DS\x02\x001 ", b"DS\x02\x00x ")
    assert desk.store(content).status_code == 200
    (found,) = json.loads(desk.client.get(f"{FIRST}/metadata").content, parse_constant=pytest.fail)
    assert found["00189087"] == {"vr": "FD"}
    assert found["00181318"] == {"vr": "DS"}
    assert found["00180085"]["Value"] == ["1H"]


def test_large_binary_values_are_fetched_by_the_address_in_the_metadata(
    desk: DicomWebDesk, tmp_path: Path
) -> None:
    document = bytes(range(256)) * 1000
    inner = Dataset()
    inner.add_new(0x00420011, "OB", document[:2000])
    dataset = image(EncapsulatedDocument=document, ReferencedImageSequence=[Dataset(), inner])
    dataset.SOPClassUID = EncapsulatedPDFStorage
    del dataset.PixelData
    assert desk.store(dataset).status_code == 200
    (found,) = desk.client.get(f"{FIRST}/metadata").json()
    urls = [found["00420011"], found["00081140"]["Value"][1]["00420011"]]
    for url, expected in zip(urls, (document, document[:2000]), strict=True):
        reply = desk.client.get(url["BulkDataURI"], headers={"Accept": OCTETS})
        assert parts(reply) == [("application/octet-stream", expected)]


@pytest.mark.parametrize(
    ("attribute", "status"),
    [
        ("00100010", 404),
        ("00081140.0.00420011", 404),
        ("7FE00010.0.7FE00010", 404),
        ("pixels", 422),
        ("7FE0", 422),
        ("00081140.0", 422),
    ],
)
def test_bulk_data_that_is_none_is_refused(
    desk: DicomWebDesk, tmp_path: Path, attribute: str, status: int
) -> None:
    store(desk, tmp_path)
    assert desk.client.get(f"{FIRST}/bulkdata/{attribute}").status_code == status


def test_native_pixels_come_as_bulk_data(desk: DicomWebDesk, tmp_path: Path) -> None:
    store(desk, tmp_path)
    reply = desk.client.get(f"{FIRST}/bulkdata/7FE00010", headers={"Accept": "application/octet-stream"})
    assert reply.content == ramp().tobytes()


def test_frames_come_in_the_order_asked_for(desk: DicomWebDesk, tmp_path: Path) -> None:
    store(desk, tmp_path, frames=4)
    reply = desk.client.get(f"{FIRST}/frames/4,1", headers={"Accept": OCTETS})
    kind = f"application/octet-stream; transfer-syntax={ExplicitVRLittleEndian}"
    assert parts(reply) == [(kind, ramp(3).tobytes()), (kind, ramp(0).tobytes())]


def test_a_single_frame_may_come_by_itself(desk: DicomWebDesk, tmp_path: Path) -> None:
    store(desk, tmp_path, frames=2)
    headers = {"Accept": "application/octet-stream"}
    assert desk.client.get(f"{FIRST}/frames/2", headers=headers).content == ramp(1).tobytes()
    assert desk.client.get(f"{FIRST}/frames/1,2", headers=headers).status_code == 406


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "image/jls"),
        ('multipart/related; type="image/jls"', "image/jls"),
        ('multipart/related; type="image/x-jls"', "image/x-jls"),
        ('multipart/related; type="image/*"; transfer-syntax=*', "image/jls"),
        (f'multipart/related; type="image/jls"; transfer-syntax={JPEGLSLossless}', "image/jls"),
        ("multipart/related; type=application/octet-stream; transfer-syntax=*", "application/octet-stream"),
    ],
)
def test_compressed_frames_come_as_stored(desk: DicomWebDesk, tmp_path: Path, accept: str, kind: str) -> None:
    content = dcmread(io.BytesIO(store(desk, tmp_path, JPEGLSLossless)))
    ((found, frame),) = parts(desk.client.get(f"{FIRST}/frames/1", headers={"Accept": accept}))
    assert found == f"{kind}; transfer-syntax={JPEGLSLossless}"
    assert frame in content.PixelData
    assert frame.startswith(b"\xff\xd8")


def test_compressed_frames_are_decoded_for_those_who_take_bytes(desk: DicomWebDesk, tmp_path: Path) -> None:
    store(desk, tmp_path, RLELossless, frames=3)
    reply = desk.client.get(f"{FIRST}/frames/3,1", headers={"Accept": OCTETS})
    assert [content for _, content in parts(reply)] == [ramp(2).tobytes(), ramp(0).tobytes()]


@pytest.mark.parametrize(
    ("frames", "status"), [("3", 404), ("1,3", 404), ("0", 422), ("a", 422), ("1,", 422), ("-1", 422)]
)
def test_frames_that_are_not_there_are_told(
    desk: DicomWebDesk, tmp_path: Path, frames: str, status: int
) -> None:
    store(desk, tmp_path, frames=2)
    assert desk.client.get(f"{FIRST}/frames/{frames}", headers={"Accept": OCTETS}).status_code == status
    assert desk.client.get(f"{FIRST}/frames/{frames}/rendered").status_code in (status, 406)


def test_pictures_are_drawn(desk: DicomWebDesk, tmp_path: Path) -> None:
    store(desk, tmp_path, frames=3)
    for path, size in ((f"{FIRST}/rendered", (COLUMNS, ROWS)), (f"{SERIES}/thumbnail", (128, 96))):
        reply = desk.client.get(path, headers={"Accept": "image/png"})
        assert reply.headers["Content-Type"] == "image/png"
        assert Image.open(io.BytesIO(reply.content)).size == size
    reply = desk.client.get(
        f"{FIRST}/frames/1/rendered?window=750,1,linear-exact", headers={"Accept": "image/png"}
    )
    shown = np.asarray(Image.open(io.BytesIO(reply.content)))
    assert ((shown > 128) == (ramp() > 750)).all()


def test_a_picture_is_a_jpeg_unless_asked_otherwise(desk: DicomWebDesk, tmp_path: Path) -> None:
    store(desk, tmp_path)
    sizes = []
    for quality in (90, 10):
        reply = desk.client.get(f"{FIRST}/rendered?quality={quality}")
        assert reply.headers["Content-Type"] == "image/jpeg"
        sizes.append(len(reply.content))
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("window=1", 400),
        ("window=a,b", 400),
        ("window=1,0", 400),
        ("window=nan,1", 400),
        ("window=1,1,cubic", 400),
        ("viewport=0,1", 400),
        ("viewport=9000,1", 400),
        ("viewport=1,2,3", 400),
        ("viewport=1,1,-1,0,1,1", 400),
        ("quality=0", 422),
    ],
)
def test_a_look_that_makes_no_sense_is_refused(
    desk: DicomWebDesk, tmp_path: Path, query: str, status: int
) -> None:
    store(desk, tmp_path)
    assert desk.client.get(f"{FIRST}/rendered?{query}").status_code == status


def test_what_is_no_image_has_no_picture(desk: DicomWebDesk, tmp_path: Path) -> None:
    dataset = image()
    dataset.SOPClassUID = EncapsulatedPDFStorage
    del dataset.PixelData
    desk.store(dataset)
    for path in ("rendered", "thumbnail", "frames/1"):
        assert desk.client.get(f"{FIRST}/{path}").status_code == 406


def test_a_viewer_that_fetches_many_frames_is_one_event_of_the_audit_trail(
    desk: DicomWebDesk, tmp_path: Path
) -> None:
    store(desk, tmp_path, frames=3)
    desk.audit.events.clear()
    for frame in (1, 2, 3):
        desk.client.get(f"{FIRST}/frames/{frame}")
    (event,) = desk.audit.events
    assert event.kind is AuditKind.INSTANCES_ACCESSED
    assert (event.studies[0].study_instance_uid, event.studies[0].patient_id) == (STUDY_UID, "PID-CANARY")
    desk.clock.advance(600)
    desk.client.get(f"{FIRST}/frames/1")
    assert len(desk.audit.events) == 2
