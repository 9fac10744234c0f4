"""STOW-RS: what is taken, what is refused, and that nothing is kept of what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
)
from pynetdicom import AllStoragePresentationContexts
from pynetdicom.sop_class import Verification

from core.audit import AuditKind
from core.headers import ANALYSED_SOP_CLASSES
from core.settings import ApiSettings
from service.access.principal import Principal, Role
from service.api.dicomweb.multipart_request import BodyLimits, InstanceParts
from service.api.dicomweb.storing import EVERY_TRANSFER_SYNTAX, failure_reason, is_offered
from service.api.dicomweb.uploads import OLDEST_UPLOAD, Uploads
from service.api.parts import principal_of
from service.api.problems import ApiError
from service.receiving.ingest import Ingest
from service.receiving.instance_file import ObjectIdentity, RefusalReason
from service.receiving.receiver import (
    LOSSLESS_TRANSFER_SYNTAXES,
    LOSSY_TRANSFER_SYNTAXES,
    status_of,
)
from service.receiving.reception import Reception, ReceptionKind
from tests.mr_headers import SIEMENS_MPRAGE, STUDY_UID, ct_series, series
from tests.service.dicomweb_desk import BOUNDARY, DicomWebDesk, file_bytes, multipart
from tests.service.service_records import NOON

LIMITS = ApiSettings(stow_maximum_parts=5, stow_maximum_part_bytes=20_000, stow_maximum_bytes=50_000)


@pytest.fixture
def desk(tmp_path: Path) -> DicomWebDesk:
    return DicomWebDesk(tmp_path)


@pytest.fixture
def narrow_desk(tmp_path: Path) -> DicomWebDesk:
    return DicomWebDesk(tmp_path, settings=LIMITS)


def slices(count: int = 1, **elements: Any) -> list[Dataset]:
    return series(2, "T1", SIEMENS_MPRAGE, slices=count, **elements)


def failure_reasons(reply: httpx.Response) -> list[int]:
    return [item["00081197"]["Value"][0] for item in reply.json().get("00081198", {}).get("Value", [])]


def stored_uids(reply: httpx.Response) -> list[str]:
    return [item["00081155"]["Value"][0] for item in reply.json().get("00081199", {}).get("Value", [])]


def test_instances_are_stored_and_referred_to(desk: DicomWebDesk) -> None:
    sent = slices(3)
    reply = desk.store(*sent)
    assert reply.status_code == 200
    assert reply.headers["Content-Type"] == "application/dicom+json"
    assert stored_uids(reply) == [dataset.SOPInstanceUID for dataset in sent]
    assert reply.json()["00081190"]["Value"] == [f"http://metserve/dicomweb/studies/{STUDY_UID}"]
    assert {row.sop_instance_uid for row in desk.instances()} == set(stored_uids(reply))
    assert not desk.uploads()


def test_the_same_instance_again_is_a_success(desk: DicomWebDesk) -> None:
    assert desk.store(*slices()).status_code == desk.store(*slices()).status_code == 200
    assert len(desk.instances()) == 1


def test_other_bytes_of_a_known_instance_are_no_success(desk: DicomWebDesk) -> None:
    desk.store(*slices())
    reply = desk.store(*slices(SeriesDescription="changed"))
    assert (reply.status_code, failure_reasons(reply)) == (409, [0x0111])
    assert len(desk.quarantined()) == 1


def test_an_instance_of_another_study_than_the_url_names_is_refused_by_itself(desk: DicomWebDesk) -> None:
    own, other = slices(), slices(study_uid="2.25.77")
    reply = desk.store(*own, *other, study=STUDY_UID)
    assert (reply.status_code, failure_reasons(reply)) == (202, [0xA901])
    assert stored_uids(reply) == [own[0].SOPInstanceUID]
    assert len(desk.instances()) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", 0xC000),
        (b"no DICOM at all", 0xC000),
        (b"\0" * 128 + b"DICM" + b"\x02\x00\x10\x00UI\xff\xff1.2", 0xC000),
        (file_bytes(slices()[0])[:-8], 0xC000),
    ],
    ids=["empty", "text", "cut in the file meta", "cut pixels"],
)
def test_what_is_no_instance_is_quarantined_with_a_reason(
    desk: DicomWebDesk, content: bytes, reason: int
) -> None:
    reply = desk.store(content)
    assert (reply.status_code, failure_reasons(reply)) == (409, [reason])
    assert len(desk.quarantined()) == 1
    assert not desk.instances()
    assert not desk.uploads()


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_deflated_and_big_endian_files_are_refused_unread(desk: DicomWebDesk, syntax: str) -> None:
    content = file_bytes(slices()[0]).replace(b"1.2.840.10008.1.2.1\0", syntax.encode().ljust(20, b"\0"))
    reply = desk.store(content)
    assert (reply.status_code, failure_reasons(reply)) == (409, [0xC000])


def test_a_lossy_mr_is_refused_as_by_c_store(desk: DicomWebDesk) -> None:
    dataset = slices()[0]
    dataset.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x02\0\0\0\xff\xd8"
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    reply = desk.store(file_bytes(dataset, JPEGBaseline8Bit))
    assert (reply.status_code, failure_reasons(reply)) == (409, [0x0122])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"--metserve-test--\r\n", 400),
        (b"--metserve-test\r\n", 400),
        (b"--other\r\n\r\n--other--", 400),
        (multipart([b"x"])[:-20], 400),
        (multipart([b"x"], header=b""), 415),
        (multipart([b"x"], header=b"Content-Type: application/dicom+json\r\n"), 415),
        (multipart([b"x"], header=b"Content-Type: " + b"a" * 5000 + b"\r\n"), 400),
        (multipart([b"x"], header=b"A: b\r\n" * 50), 400),
    ],
)
def test_a_body_that_is_no_such_multipart_is_refused(desk: DicomWebDesk, body: bytes, status: int) -> None:
    reply = desk.send(body)
    assert reply.status_code == status
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert not desk.uploads()
    assert not desk.instances()


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/dicom", 415),
        ("multipart/form-data; boundary=metserve-test", 415),
        ('multipart/related; type="application/dicom+json"; boundary=metserve-test', 415),
        ("multipart/related; type=application/dicom", 400),
        (f"multipart/related; type=application/dicom; boundary={'x' * 201}", 400),
        ("nonsense", 415),
    ],
)
def test_other_content_types_are_refused(desk: DicomWebDesk, content_type: str, status: int) -> None:
    body = multipart([file_bytes(slices()[0])])
    reply = desk.client.post("/dicomweb/studies", content=body, headers={"Content-Type": content_type})
    assert reply.status_code == status


def test_a_compressed_body_is_not_unpacked(desk: DicomWebDesk) -> None:
    assert desk.store(*slices(), Content_Encoding="gzip").status_code == 415


@pytest.mark.parametrize("accept", ["application/dicom+xml", "text/html", "nonsense", ""])
def test_only_json_is_answered(desk: DicomWebDesk, accept: str) -> None:
    assert desk.store(*slices(), Accept=accept).status_code == 406
    assert not desk.instances()


def test_more_parts_than_allowed_are_refused(narrow_desk: DicomWebDesk) -> None:
    assert narrow_desk.store(*slices(6)).status_code == 413
    assert len(narrow_desk.instances()) == 5, "what was whole before is kept"
    assert not narrow_desk.uploads()


def test_a_part_longer_than_allowed_is_refused(narrow_desk: DicomWebDesk) -> None:
    assert narrow_desk.store(b"x" * 20_001).status_code == 413
    assert not narrow_desk.uploads()


def test_an_endless_body_without_a_length_ends_at_the_limit(narrow_desk: DicomWebDesk) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        yield b"--" + BOUNDARY + b"\r\nContent-Type: application/dicom\r\n\r\n"
        while True:
            taken += 1000
            yield b"x" * 1000

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(narrow_desk.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://metserve") as client:
            return await client.post(
                "/dicomweb/studies",
                content=endless(),
                headers={
                    "Content-Type": 'multipart/related; type="application/dicom"; boundary=metserve-test'
                },
            )

    assert asyncio.run(ask()).status_code == 413
    assert taken < 60_000
    assert not narrow_desk.uploads()


def test_the_parts_count_the_whole_body_themselves(tmp_path: Path) -> None:
    parts = InstanceParts("b", BodyLimits(10, 1000, 100), lambda: tmp_path / "part", Path.unlink)
    parts.feed(b"--b\r\nContent-Type: application/dicom\r\n\r\n")
    with pytest.raises(ApiError, match="more than 100 bytes"):
        parts.feed(b"x" * 100)
    parts.discard()
    assert not (tmp_path / "part").exists()


def test_an_announced_length_beyond_the_limit_is_refused_before_reading(narrow_desk: DicomWebDesk) -> None:
    assert narrow_desk.store(*slices(), Content_Length="50001").status_code == 413
    assert not narrow_desk.instances()


def test_addresses_are_below_the_url_that_clients_use(tmp_path: Path) -> None:
    settings = ApiSettings(public_url="https://metserve.example/brain/")
    reply = DicomWebDesk(tmp_path, settings=settings).store(*slices())
    url = f"https://metserve.example/brain/dicomweb/studies/{STUDY_UID}"
    assert reply.json()["00081190"]["Value"] == [url]


def test_a_site_that_keeps_mr_only_takes_nothing_else(tmp_path: Path) -> None:
    desk = DicomWebDesk(tmp_path, keep_other_storage_classes=False)
    assert desk.store(*ct_series(slices=1)).status_code == 409
    assert desk.store(*slices()).status_code == 200


def test_a_nearly_full_disk_takes_nothing(tmp_path: Path) -> None:
    desk = DicomWebDesk(tmp_path, minimum_free_bytes=2**62)
    reply = desk.store(*slices())
    assert reply.status_code == 503
    assert not desk.instances()


def test_the_database_being_away_is_no_success(desk: DicomWebDesk) -> None:
    def fail(*_: Any) -> Iterator[None]:
        raise OSError(28, "No space left on device")

    desk.app.state.dicomweb.ingest._store.commit = fail
    reply = desk.store(*slices())
    assert (reply.status_code, failure_reasons(reply)) == (503, [0xA700])
    assert "Retry-After" in reply.headers
    assert not desk.instances()


def test_who_sees_some_studies_cannot_add_to_another_and_so_see_it(desk: DicomWebDesk) -> None:
    desk.store(*slices(1))
    visitor = Principal("visitor", frozenset({Role.SERVICE}), frozenset({"SCANNER2"}))
    desk.app.dependency_overrides[principal_of] = lambda: visitor
    reply = desk.store(slices(2)[1])
    assert (reply.status_code, failure_reasons(reply)) == (409, [0x0124])
    assert desk.store(*slices(1, study_uid="2.25.78")).status_code == 200
    assert {row.calling_ae_title for row in desk.instances()} == {"anonymous", "SCANNER2"}


def test_the_audit_trail_names_what_arrived(desk: DicomWebDesk) -> None:
    desk.store(*slices(2))
    (event,) = desk.audit.events
    assert event.kind is AuditKind.INSTANCES_TRANSFERRED
    (study,) = event.studies
    assert (study.study_instance_uid, study.patient_id) == (STUDY_UID, "PID-CANARY")
    assert [count for _, count in study.sop_classes] == [2]


def test_uploads_of_a_killed_process_are_removed_and_those_of_a_living_one_are_not(
    desk: DicomWebDesk,
) -> None:
    uploads = Uploads(desk.records.store, 0)
    path = uploads.new_path()
    path.touch()
    changed_at = path.stat().st_mtime
    assert uploads.sweep(NOON.fromtimestamp(changed_at, tz=NOON.tzinfo)) == 0
    later = NOON.fromtimestamp(changed_at, tz=NOON.tzinfo) + OLDEST_UPLOAD + timedelta(seconds=1)
    assert uploads.sweep(later) == 1
    assert not desk.uploads()


def test_the_receivers_start_leaves_uploads_alone(desk: DicomWebDesk) -> None:
    path = Uploads(desk.records.store, 0).new_path()
    path.touch()
    desk.records.store.sweep_temporary()
    assert path.exists()


def test_what_is_offered_is_what_c_store_negotiates() -> None:
    """Compared here, and not shared: the API has nothing of the DICOM network in it."""
    classes = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}
    lossy = {(sop_class, str(syntax)) for sop_class in classes for syntax in LOSSY_TRANSFER_SYNTAXES}
    negotiated = {pair for pair in lossy if pair[0] not in ANALYSED_SOP_CLASSES}
    negotiated |= {(sop_class, str(syntax)) for sop_class in classes for syntax in LOSSLESS_TRANSFER_SYNTAXES}
    syntaxes = {*EVERY_TRANSFER_SYNTAX, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian}
    offered = {
        (sop_class, str(syntax))
        for sop_class in classes
        for syntax in syntaxes
        if is_offered(ObjectIdentity(sop_class, "1.2", str(syntax)))
    }
    assert offered == negotiated
    for other in (Verification, "1.2.840.10008.1.3.10", "1.2.840.10008.1.20.1", "1.2.3", ""):
        assert not is_offered(ObjectIdentity(other, "1.2", ExplicitVRLittleEndian))


@pytest.mark.parametrize("reason", RefusalReason)
def test_refusals_are_told_as_by_c_store(reason: RefusalReason) -> None:
    reception = Reception(ReceptionKind.REFUSED, reason)
    assert failure_reason(reception) == status_of(reception)


def test_a_receiver_that_starts_at_the_worst_moment_adopts_the_upload_and_nothing_is_lost(
    desk: DicomWebDesk,
) -> None:
    """The file has its name already, its row is not committed yet: the receiver takes it for an orphan."""
    records = desk.app.state.dicomweb.ingest._records
    receivers = Ingest(desk.records.store, desk.records.sessions, desk.clock)
    add, adopted = records.add, []

    def add_late(*arguments: Any) -> ReceptionKind:
        adopted.append(receivers.adopt_orphans())
        return ReceptionKind(add(*arguments))

    records.add = add_late
    reply = desk.store(*slices())
    assert (reply.status_code, adopted) == (200, [1])
    (row,) = desk.instances()
    assert desk.records.store.resolve(row.path).is_file()
    assert not desk.quarantined()
