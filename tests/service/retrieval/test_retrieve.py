"""C-FIND, C-MOVE and C-GET between two pynetdicom entities."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLosslessSV1
from sqlalchemy import update

from core.audit import AuditKind, AuditOutcome
from core.database import InstanceRow
from core.peers import Peer
from service.retrieval.addresses import AddressBook, address_book
from service.retrieval.find import QueryProvider
from service.retrieval.retrieve import RetrievalProvider
from service.retrieval.sop_classes import STUDY_ROOT_GET
from tests.service.catalogued import mr_slice, receive, slice_uid
from tests.service.retrieval.door import AE_TITLE, PEER, CollectedAudit, identifier, serving, visiting
from tests.service.service_records import STUDY_UID, Records
from tests.service.storage_peers import StoragePeer

STUDY = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": STUDY_UID}


@pytest.fixture
def records(tmp_path: Path) -> Records:
    records = Records(tmp_path)
    for number in (1, 2, 3):
        receive(records, mr_slice(number))
    return records


@pytest.fixture
def audit() -> CollectedAudit:
    return CollectedAudit()


@pytest.fixture
def storage_peer() -> Iterator[StoragePeer]:
    peer = StoragePeer(("1.2.840.10008.5.1.4.1.1.4",))
    yield peer
    peer.stop()


def retrieval(
    records: Records, audit: CollectedAudit, addresses: AddressBook | None = None, places: int = 8
) -> RetrievalProvider:
    return RetrievalProvider(
        AE_TITLE,
        records.read_sessions,
        records.store,
        addresses or address_book(()),
        audit,
        wait_for_place_s=0.1,
        places=threading.Semaphore(places),
    )


def test_c_get_sends_the_bytes_as_they_are(records: Records, audit: CollectedAudit) -> None:
    with serving(retrieval(records, audit).service()) as port, visiting(port) as visitor:
        final = visitor.get(**STUDY)

    assert (final.Status, final.NumberOfCompletedSuboperations) == (0x0000, 3)
    assert [syntax for syntax, _ in visitor.received] == [ExplicitVRLittleEndian] * 3
    assert [dataset.SOPInstanceUID for _, dataset in visitor.received] == [slice_uid(n) for n in (1, 2, 3)]


def test_a_peer_that_takes_only_implicit_vr_gets_that(records: Records, audit: CollectedAudit) -> None:
    with (
        serving(retrieval(records, audit).service()) as port,
        visiting(port, [ImplicitVRLittleEndian]) as visitor,
    ):
        final = visitor.get(**STUDY)

    assert final.Status == 0x0000
    assert {syntax for syntax, _ in visitor.received} == {ImplicitVRLittleEndian}
    assert {bytes(dataset.PixelData) for _, dataset in visitor.received} == {bytes(range(48))}


def test_an_instance_whose_syntax_is_not_taken_fails_alone(records: Records, audit: CollectedAudit) -> None:
    receive(records, mr_slice(4))
    stored_as = update(InstanceRow).where(InstanceRow.sop_instance_uid == slice_uid(4))
    records.change(lambda session: session.execute(stored_as.values(transfer_syntax_uid=JPEGLosslessSV1)))
    with serving(retrieval(records, audit).service()) as port, visiting(port) as visitor:
        final, failed = visitor.responses(**STUDY)[-1]

    assert final.Status == 0xB000
    assert (final.NumberOfCompletedSuboperations, final.NumberOfFailedSuboperations) == (3, 1)
    assert failed is not None
    assert failed.FailedSOPInstanceUIDList == slice_uid(4)
    assert audit.events[-1].outcome is AuditOutcome.MINOR_FAILURE


def test_a_file_that_is_gone_fails_alone(records: Records, audit: CollectedAudit) -> None:
    next(records.store.instances.rglob("*.dcm")).unlink()
    with serving(retrieval(records, audit).service()) as port, visiting(port) as visitor:
        final = visitor.get(**STUDY)

    assert (final.NumberOfCompletedSuboperations, final.NumberOfFailedSuboperations) == (2, 1)


def test_what_is_not_there_is_no_failure(records: Records, audit: CollectedAudit) -> None:
    with serving(retrieval(records, audit).service()) as port, visiting(port) as visitor:
        final = visitor.get(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3")

    assert final.Status == 0x0000


@pytest.mark.parametrize(
    "keys",
    [
        {"QueryRetrieveLevel": "STUDY"},
        {"QueryRetrieveLevel": "PATIENT", "PatientID": "1"},
        {"StudyInstanceUID": STUDY_UID},
    ],
)
def test_an_identifier_that_names_nothing_is_refused(
    records: Records, audit: CollectedAudit, keys: dict[str, str]
) -> None:
    with serving(retrieval(records, audit).service()) as port, visiting(port) as visitor:
        final = visitor.get(**keys)
        again = visitor.get(**STUDY)

    assert (final.Status, again.Status) == (0xA900, 0x0000)
    assert final.ErrorComment


def test_too_many_retrievals_at_once_are_told_to_wait(records: Records, audit: CollectedAudit) -> None:
    with serving(retrieval(records, audit, places=0).service()) as port, visiting(port) as visitor:
        assert visitor.get(**STUDY).Status == 0xA702


def test_a_place_is_free_again_after_each_retrieval(records: Records, audit: CollectedAudit) -> None:
    with serving(retrieval(records, audit, places=1).service()) as port, visiting(port) as visitor:
        statuses = [visitor.get(**keys).Status for keys in (STUDY, {"QueryRetrieveLevel": "STUDY"}, STUDY)]

    assert statuses == [0x0000, 0xA900, 0x0000]


def test_a_cancelled_c_get_ends(records: Records, audit: CollectedAudit) -> None:
    for number in range(4, 60):
        receive(records, mr_slice(number))
    with serving(retrieval(records, audit).service()) as port, visiting(port) as visitor:
        answers = visitor.association.send_c_get(identifier(**STUDY), STUDY_ROOT_GET, msg_id=7)
        statuses = [next(answers)[0]]
        visitor.association.send_c_cancel(7, None, STUDY_ROOT_GET)
        statuses += [status for status, _ in answers]
        again = visitor.get(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3")

    assert (statuses[-1].Status, again.Status) == (0xFE00, 0x0000)
    assert statuses[-1].NumberOfRemainingSuboperations > 0


def test_c_move_sends_to_a_peer_with_an_address(
    records: Records, audit: CollectedAudit, storage_peer: StoragePeer
) -> None:
    addresses = address_book([Peer(ae_title="PEER", host="127.0.0.1", port=storage_peer.port)])
    with serving(retrieval(records, audit, addresses).service()) as port, visiting(port) as visitor:
        final = visitor.move("PEER", **STUDY)

    assert (final.Status, final.NumberOfCompletedSuboperations) == (0x0000, 3)
    assert [uid for _, uid in storage_peer.received] == [slice_uid(n) for n in (1, 2, 3)]
    assert storage_peer.associations == 1


@pytest.mark.parametrize("destination", ["NOWHERE", "STRANGER"])
def test_a_destination_that_is_unknown_or_refuses_us_is_told(
    records: Records, audit: CollectedAudit, storage_peer: StoragePeer, destination: str
) -> None:
    addresses = address_book([Peer(ae_title="STRANGER", host="127.0.0.1", port=storage_peer.port)])
    with serving(retrieval(records, audit, addresses).service()) as port, visiting(port) as visitor:
        assert visitor.move(destination, **STUDY).Status == 0xA801


def test_a_retrieval_is_audited_with_patient_and_study(records: Records, audit: CollectedAudit) -> None:
    with serving(retrieval(records, audit).service()) as port, visiting(port) as visitor:
        visitor.get(**STUDY)

    (event,) = audit.events
    assert event.kind is AuditKind.INSTANCES_TRANSFERRED
    assert [actor.user_id for actor in event.actors] == [AE_TITLE, PEER]
    (study,) = event.studies
    assert (study.study_instance_uid, study.patient_id) == (STUDY_UID, "PID-CANARY")
    assert study.sop_classes == (("1.2.840.10008.5.1.4.1.1.4", 3),)


def query(records: Records, audit: CollectedAudit, max_answers: int = 100) -> QueryProvider:
    return QueryProvider(AE_TITLE, records.read_sessions, audit, max_answers)


def test_c_find_answers_what_was_asked_for(records: Records, audit: CollectedAudit) -> None:
    with serving(query(records, audit).service()) as port, visiting(port) as visitor:
        (pending, answer), (final, _) = visitor.find(
            QueryRetrieveLevel="STUDY", PatientID="", NumberOfStudyRelatedInstances=None
        )

    assert (pending.Status, final.Status) == (0xFF00, 0x0000)
    assert answer is not None
    assert (answer.PatientID, answer.StudyInstanceUID, answer.RetrieveAETitle) == (
        "PID-CANARY",
        STUDY_UID,
        AE_TITLE,
    )
    assert answer.NumberOfStudyRelatedInstances == 3
    assert "PatientName" not in answer
    assert [event.kind for event in audit.events] == [AuditKind.QUERY]


def test_a_key_that_is_not_matched_is_told_by_the_status(records: Records, audit: CollectedAudit) -> None:
    with serving(query(records, audit).service()) as port, visiting(port) as visitor:
        answers = visitor.find(QueryRetrieveLevel="STUDY", StudyID="7")

    assert [status.Status for status, _ in answers] == [0xFF01, 0x0000]


def test_more_matches_than_are_sent_are_told_by_the_status(records: Records, audit: CollectedAudit) -> None:
    keys = {"QueryRetrieveLevel": "IMAGE", "SeriesInstanceUID": f"{STUDY_UID}.1"}
    for limit, expected in ((2, 0xB001), (3, 0x0000)):
        with serving(query(records, audit, limit).service()) as port, visiting(port) as visitor:
            answers = visitor.find(**keys)
        assert len(answers) == limit + 1
        assert answers[-1][0].Status == expected


def test_a_query_without_the_key_of_the_level_above_is_refused(
    records: Records, audit: CollectedAudit
) -> None:
    with serving(query(records, audit).service()) as port, visiting(port) as visitor:
        ((status, _),) = visitor.find(QueryRetrieveLevel="SERIES")

    assert status.Status == 0xA900
    assert "StudyInstanceUID" in status.ErrorComment
