from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
)
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import CTImageStorage, MRImageStorage, Verification
from sqlalchemy import text

from core.settings import ReceiverSettings
from core.study_store import StudyStore
from service.receiving.receiver import Receiver
from tests.mr_headers import SIEMENS_MPRAGE, ct_series, own_segmentation, series, with_file_meta
from tests.service.reception_site import Site, open_site, write

SETTLED_WITHIN_S = 10.0


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return open_site(tmp_path)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(site: Site, **settings: object) -> Iterator[ReceiverSettings]:
    values = ReceiverSettings(port=free_port(), minimum_free_bytes=0).model_copy(update=settings)
    receiver = Receiver(values, site.ingest, site.store)
    receiver.start()
    try:
        yield values
    finally:
        receiver.stop()


@contextmanager
def association(
    settings: ReceiverSettings,
    *sop_classes: str,
    syntaxes: tuple[str, ...] = (ExplicitVRLittleEndian,),
    calling: str = "SCANNER",
    called: str = "METSERVE",
) -> Iterator[Association]:
    entity = AE(calling)
    for sop_class in sop_classes or (MRImageStorage,):
        entity.add_requested_context(sop_class, list(syntaxes))
    assoc = entity.associate("127.0.0.1", settings.port, ae_title=called)
    try:
        yield assoc
    finally:
        if assoc.is_established:
            assoc.release()


def send(assoc: Association, dataset: Dataset) -> int:
    return int(assoc.send_c_store(with_file_meta(dataset)).Status)


def mr_instance(**elements: object) -> Dataset:
    return series(1, "t1 mprage", SIEMENS_MPRAGE, slices=1, **elements)[0]


def eventually(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + SETTLED_WITHIN_S
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()


def test_an_echo_is_answered(site: Site) -> None:
    with running(site) as settings, association(settings, Verification) as assoc:
        assert assoc.send_c_echo().Status == 0x0000


def test_a_stored_instance_is_the_one_that_was_sent(site: Site) -> None:
    sent = mr_instance(PatientComments="as sent")
    with running(site) as settings, association(settings) as assoc:
        assert send(assoc, sent) == 0x0000
    stored = dcmread(site.stored_files()[0])
    del sent.file_meta
    assert {element.tag: element.value for element in stored} == {e.tag: e.value for e in sent}
    assert stored.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert stored.file_meta.MediaStorageSOPInstanceUID == sent.SOPInstanceUID
    row = site.instances()[0]
    assert (row.calling_ae_title, row.peer_address) == ("SCANNER", "127.0.0.1")
    assert site.temporary_files() == []


def test_an_instance_sent_twice_is_kept_once_and_both_times_acknowledged(site: Site) -> None:
    with running(site) as settings, association(settings) as assoc:
        assert [send(assoc, mr_instance()) for _ in range(2)] == [0x0000, 0x0000]
    assert len(site.instances()) == 1


def test_other_content_under_a_known_uid_is_acknowledged_and_quarantined(site: Site) -> None:
    with running(site) as settings, association(settings) as assoc:
        assert send(assoc, mr_instance()) == 0x0000
        assert send(assoc, mr_instance(PatientComments="other")) == 0x0000
    assert len(site.quarantine_reasons()) == 1


def test_parallel_senders_lose_nothing(site: Site) -> None:
    with running(site) as settings:
        parts = [series(number, "t1", SIEMENS_MPRAGE, slices=10) for number in range(4)]
        with (
            association(settings) as first,
            association(settings) as second,
            association(settings) as third,
            association(settings) as fourth,
        ):
            for datasets in zip(*parts, strict=True):
                for assoc, dataset in zip((first, second, third, fourth), datasets, strict=True):
                    assert send(assoc, dataset) == 0x0000
    assert len(site.instances()) == len(site.stored_files()) == 40


@pytest.mark.parametrize(
    ("command_uid", "status"),
    [("2.25.99", 0xA900), ("../../../evil", 0xC000), ("/etc/cron.d/x", 0xC000), ("1.2.x", 0xC000)],
)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_a_request_that_names_another_or_no_uid_is_refused(site: Site, command_uid: str, status: int) -> None:
    with running(site) as settings, association(settings) as assoc:
        assert raw_store(assoc, mr_instance(), command_uid) == status
    assert site.stored_files() == site.temporary_files() == []


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_a_request_for_another_sop_class_than_its_data_set_is_refused(site: Site) -> None:
    with running(site) as settings, association(settings) as assoc:
        assert send(assoc, mr_instance(SOPClassUID=MRImageStorage)) == 0x0000
        dataset = mr_instance(SOPInstanceUID="2.25.5", SOPClassUID=CTImageStorage)
        assert raw_store(assoc, dataset, "2.25.5") == 0xA900


def test_bytes_that_are_no_data_set_are_not_acknowledged(site: Site) -> None:
    with running(site) as settings, association(settings) as assoc:
        assert raw_store(assoc, b"GET / HTTP/1.1\r\n\r\n" * 10, "2.25.5") == 0xC000
    assert site.quarantine_reasons()[0].startswith("unreadable")


def test_with_a_full_disk_no_association_is_begun_for_now(site: Site) -> None:
    with running(site, minimum_free_bytes=2**62) as settings, association(settings) as assoc:
        assert assoc.is_rejected
        answer = assoc.acceptor.primitive
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)


def test_a_disk_that_fills_up_asks_the_sender_to_try_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StudyStore, "free_bytes", lambda _store: 2**63)  # when the association begins
    with running(site, minimum_free_bytes=2**62) as settings, association(settings) as assoc:
        assert [send(assoc, mr_instance()) for _ in range(2)] == [0xA700, 0xA700]
    assert site.stored_files() == site.temporary_files() == []


def test_a_disk_that_fails_while_writing_asks_the_sender_to_try_again(site: Site) -> None:
    with running(site) as settings, association(settings) as assoc:
        shutil.rmtree(site.store.temporary_folder)
        assert send(assoc, mr_instance()) == 0xA700
        site.store.temporary_folder.mkdir()
        assert send(assoc, mr_instance()) == 0x0000


def test_a_lost_database_asks_the_sender_to_try_again(site: Site) -> None:
    with running(site) as settings, association(settings) as assoc:
        with site.sessions.begin() as session:
            session.execute(text("ALTER TABLE instance RENAME TO gone"))
        assert send(assoc, mr_instance()) == 0xA700


@pytest.mark.parametrize("names", [{"called": "OTHER"}, {"calling": "STRANGER"}])
def test_wrong_ae_titles_are_rejected(site: Site, names: dict[str, str]) -> None:
    with (
        running(site, calling_ae_titles=("SCANNER",)) as settings,
        association(settings, **names) as assoc,
    ):
        assert assoc.is_rejected
    with running(site, calling_ae_titles=("SCANNER",)) as settings, association(settings) as assoc:
        assert assoc.is_established


def test_deflated_and_big_endian_are_not_negotiated(site: Site) -> None:
    refused = (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
    with running(site) as settings, association(settings, syntaxes=refused) as assoc:
        assert not assoc.accepted_contexts
    taken = (ImplicitVRLittleEndian, JPEGLosslessSV1)
    with running(site) as settings, association(settings, syntaxes=taken) as assoc:
        assert assoc.accepted_contexts


def test_other_storage_classes_are_negotiated_by_a_setting(site: Site) -> None:
    result = own_segmentation()
    classes = (CTImageStorage, result.SOPClassUID)
    with running(site) as settings, association(settings, *classes) as assoc:
        assert send(assoc, ct_series(slices=1)[0]) == 0x0000
        assert send(assoc, result) == 0x0000
    with (
        running(site, keep_other_storage_classes=False) as settings,
        association(settings, *classes, MRImageStorage) as assoc,
    ):
        accepted = [context.abstract_syntax for context in assoc.accepted_contexts]
        assert accepted == [MRImageStorage]


def test_a_peer_that_vanishes_in_the_middle_leaves_nothing(site: Site) -> None:
    with running(site) as settings, association(settings) as assoc:
        dataset = mr_instance(PixelData=bytes(2 * 1000 * 1000), Rows=1000, Columns=1000)
        assoc.dul.socket.send = lambda stream: cut(assoc, stream)
        assert "Status" not in assoc.send_c_store(with_file_meta(dataset))
        assert eventually(lambda: site.temporary_files() == [])
    assert site.stored_files() == []


def cut(assoc: Association, stream: bytes) -> None:
    """Send half of the first large PDU and break the connection."""
    raw = assoc.dul.socket.socket
    if raw is None:
        return
    raw.sendall(stream[: len(stream) // 2] if len(stream) > 5000 else stream)
    if len(stream) > 5000:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assoc.dul.socket.close()


@pytest.mark.parametrize(
    "bytes_sent", [b"\x01\x00\xff\xff\xff\xf0" + b"x" * 1000, b"GET / HTTP/1.1\r\n\r\n", os.urandom(64)]
)
def test_bytes_that_are_no_dicom_end_the_connection_and_harm_nobody(site: Site, bytes_sent: bytes) -> None:
    with running(site) as settings:
        with socket.create_connection(("127.0.0.1", settings.port), timeout=SETTLED_WITHIN_S) as peer:
            peer.sendall(bytes_sent)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(100):
                pass
        with association(settings, Verification) as assoc:
            assert assoc.send_c_echo().Status == 0x0000


def test_silent_connections_of_one_address_are_capped(site: Site) -> None:
    with running(site, maximum_associations_per_address=2) as settings:
        peers = [socket.create_connection(("127.0.0.1", settings.port)) for _ in range(2)]
        assert eventually(lambda: is_closed_at_once(settings.port))
        for peer in peers:
            peer.close()


def is_closed_at_once(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=0.2) as peer:
        try:
            return peer.recv(1) == b""
        except TimeoutError:
            return False


def test_a_connection_that_cannot_be_judged_is_refused_and_the_next_is_served(site: Site) -> None:
    ended = threading.Event()
    stranger = threading.Thread(target=ended.wait, name="AcceptorThread")  # breaks pynetdicom's own count
    with running(site) as settings:
        stranger.start()
        refused = is_closed_at_once(settings.port)
        ended.set()
        stranger.join()
        assert refused
        with association(settings, Verification) as assoc:
            assert assoc.send_c_echo().Status == 0x0000


def test_the_thread_that_listens_lives_until_the_receiver_is_stopped(site: Site) -> None:
    receiver = Receiver(ReceiverSettings(port=free_port()), site.ingest, site.store)
    listening = receiver.start()
    assert listening.is_alive()
    receiver.stop()
    assert eventually(lambda: not listening.is_alive())


def test_a_request_without_a_data_set_is_not_acknowledged(site: Site) -> None:
    with running(site) as settings, association(settings) as assoc:
        request = C_STORE()
        request.MessageID, request.Priority = 7, 2
        request.AffectedSOPClassUID = MRImageStorage
        request.AffectedSOPInstanceUID = "2.25.5"
        assoc.dimse_timeout = 1
        assoc.dimse.send_msg(request, assoc.accepted_contexts[0].context_id)
        _, answer = assoc.dimse.get_msg(block=True)
        assert answer is None or answer.Status != 0x0000
    with running(site) as settings, association(settings, Verification) as assoc:
        assert assoc.send_c_echo().Status == 0x0000


def raw_store(assoc: Association, content: Dataset | bytes, sop_instance_uid: str) -> int:
    """Send a C-STORE whose command says what the data set does not."""
    request = C_STORE()
    request.MessageID, request.Priority = 7, 2
    request.AffectedSOPClassUID = MRImageStorage
    encoded = encode(content, False, True) if isinstance(content, Dataset) else content
    assert encoded is not None
    request.DataSet = BytesIO(encoded)
    context = next(c for c in assoc.accepted_contexts if c.abstract_syntax == MRImageStorage)
    request._affected_sop_instance_uid = UID(sop_instance_uid)
    assoc._reactor_checkpoint.clear()
    while not assoc._is_paused:
        time.sleep(0.01)
    assoc.dimse.send_msg(request, context.context_id)
    _, answer = assoc.dimse.get_msg(block=True)
    assoc._reactor_checkpoint.set()
    assert answer is not None
    return int(answer.Status)


needs_dcmtk = pytest.mark.skipif(shutil.which("storescu") is None, reason="dcmtk is not installed")


@needs_dcmtk
def test_dcmtk_stores_and_echoes(site: Site, tmp_path: Path) -> None:
    files = [write(tmp_path / f"{n}.dcm", d) for n, d in enumerate(series(1, "t1", SIEMENS_MPRAGE, slices=5))]
    with running(site) as settings:
        address = ["-aec", "METSERVE", "127.0.0.1", str(settings.port)]
        environment = {**os.environ, "TCP_NODELAY": "1"}
        subprocess.run(["echoscu", *address], check=True, env=environment, timeout=30)
        subprocess.run(["storescu", *address, *map(str, files)], check=True, env=environment, timeout=30)
    assert len(site.instances()) == 5
