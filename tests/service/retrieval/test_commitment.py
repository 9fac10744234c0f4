"""Storage commitment as a provider: judged at once, reported until heard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import MRImageStorage, SegmentationStorage
from pynetdicom import AE, evt
from sqlalchemy import select

from core.database import CommitmentRow
from core.peers import Peer
from service.retrieval.addresses import AddressBook, address_book
from service.retrieval.commitment import CommitmentProvider, commitment_service
from service.retrieval.commitment_reports import CommitmentReports
from service.retrieval.sop_classes import (
    STORAGE_COMMITMENT_PUSH_MODEL,
    STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
)
from tests.service.catalogued import mr_slice, receive, slice_uid
from tests.service.retrieval.door import AE_TITLE, PEER, serving
from tests.service.service_records import MovedClock, Records

TRANSACTION = "2.25.77"


@pytest.fixture
def records(tmp_path: Path) -> Records:
    records = Records(tmp_path)
    for number in (1, 2):
        receive(records, mr_slice(number))
    return records


class Archive:
    """A peer that is reported to."""

    def __init__(self, status: int = 0x0000, ae_title: str = PEER) -> None:
        self.status = status
        self.reports: list[tuple[int, Dataset]] = []
        entity = AE(ae_title)
        entity.require_called_aet = True
        entity.add_supported_context(STORAGE_COMMITMENT_PUSH_MODEL, scu_role=True, scp_role=True)
        self._server = entity.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._keep)]
        )
        self.port: int = self._server.server_address[1]

    def _keep(self, event: evt.Event) -> tuple[int, None]:
        self.reports.append((event.event_type, event.event_information))
        return self.status, None

    def stop(self) -> None:
        self._server.shutdown()


@pytest.fixture
def archive() -> Iterator[Archive]:
    archive = Archive()
    yield archive
    archive.stop()


@contextmanager
def provider(records: Records, addresses: AddressBook, clock: MovedClock) -> Iterator[int]:
    commitment = CommitmentProvider(records.sessions, records.store, addresses, clock)
    with serving(commitment_service(commitment.on_action, lambda _event: (0x0110, None))) as port:
        yield port


def ask(port: int, *references: tuple[str, str], action: int = 1) -> Dataset:
    request = Dataset()
    request.TransactionUID = TRANSACTION
    request.ReferencedSOPSequence = [_item(*reference) for reference in references]
    entity = AE(PEER)
    entity.add_requested_context(STORAGE_COMMITMENT_PUSH_MODEL)
    association = entity.associate("127.0.0.1", port, ae_title=AE_TITLE)
    assert association.is_established
    try:
        status, _ = association.send_n_action(
            request, action, STORAGE_COMMITMENT_PUSH_MODEL, STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE
        )
    finally:
        association.release()
    return status


def _item(sop_class: str, uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    return item


def addresses_of(archive: Archive) -> AddressBook:
    return address_book([Peer(ae_title=PEER, host="127.0.0.1", port=archive.port)])


def reports(records: Records, addresses: AddressBook, clock: MovedClock) -> CommitmentReports:
    return CommitmentReports(
        AE_TITLE, records.sessions, records.read_sessions, addresses, clock, timeout_s=5.0
    )


def rows(records: Records) -> list[CommitmentRow]:
    with records.read_sessions() as session:
        return list(session.scalars(select(CommitmentRow)))


def test_what_was_received_is_committed(records: Records, archive: Archive) -> None:
    clock, addresses = MovedClock(), addresses_of(archive)
    with provider(records, addresses, clock) as port:
        status = ask(port, (MRImageStorage, slice_uid(1)), (MRImageStorage, slice_uid(2)))
    reports(records, addresses, clock).report_due()

    assert status.Status == 0x0000
    ((event_type, report),) = archive.reports
    assert (event_type, report.TransactionUID) == (1, TRANSACTION)
    assert [item.ReferencedSOPInstanceUID for item in report.ReferencedSOPSequence] == [
        slice_uid(1),
        slice_uid(2),
    ]
    assert "FailedSOPSequence" not in report
    assert [row.state for row in rows(records)] == ["reported"]


def test_what_is_not_kept_is_told_with_its_reason(records: Records, archive: Archive) -> None:
    clock, addresses = MovedClock(), addresses_of(archive)
    records.store.resolve(
        records.store.instance_path(mr_slice(2).StudyInstanceUID, slice_uid(2), "0" * 64)
    ).unlink()
    references = (
        (SegmentationStorage, slice_uid(1)),
        (MRImageStorage, slice_uid(2)),
        (MRImageStorage, "1.9"),
    )
    with provider(records, addresses, clock) as port:
        ask(port, *references)
    reports(records, addresses, clock).report_due()

    ((event_type, report),) = archive.reports
    assert event_type == 2
    assert "ReferencedSOPSequence" not in report
    failed = {item.ReferencedSOPInstanceUID: item.FailureReason for item in report.FailedSOPSequence}
    assert failed == {slice_uid(1): 0x0119, slice_uid(2): 0x0112, "1.9": 0x0112}


def test_a_transaction_that_is_asked_again_is_reported_again(records: Records, archive: Archive) -> None:
    clock, addresses = MovedClock(), addresses_of(archive)
    for _ in range(2):
        with provider(records, addresses, clock) as port:
            ask(port, (MRImageStorage, slice_uid(1)))
        reports(records, addresses, clock).report_due()

    assert len(archive.reports) == 2
    assert len(rows(records)) == 1


@pytest.mark.parametrize(("status", "ae_title"), [(0x0110, PEER), (0x0000, "OTHER")])
def test_a_report_that_is_not_heard_is_sent_again_later(records: Records, status: int, ae_title: str) -> None:
    archive = Archive(status, ae_title)
    clock, addresses = MovedClock(), addresses_of(archive)
    with provider(records, addresses, clock) as port:
        ask(port, (MRImageStorage, slice_uid(1)))
    due = reports(records, addresses, clock)

    counts = [due.report_due(), due.report_due()]
    clock.advance(11)
    counts.append(due.report_due())
    archive.stop()

    assert counts == [1, 0, 1]
    (row,) = rows(records)
    assert (row.state, row.attempts) == ("reporting", 2)
    assert row.last_error


def test_a_report_is_given_up_after_days(records: Records, archive: Archive) -> None:
    clock, addresses = MovedClock(), addresses_of(archive)
    with provider(records, addresses, clock) as port:
        ask(port, (MRImageStorage, slice_uid(1)))
    clock.advance(4 * 86_400)
    reports(records, addresses, clock).report_due()

    assert [row.state for row in rows(records)] == ["given_up"]
    assert archive.reports == []


def test_a_peer_without_an_address_is_told_so(records: Records) -> None:
    with provider(records, address_book([Peer(ae_title=PEER)]), MovedClock()) as port:
        status = ask(port, (MRImageStorage, slice_uid(1)))

    assert status.Status == 0x0110
    assert PEER in status.ErrorComment
    assert rows(records) == []


def test_what_is_no_request_is_refused(records: Records, archive: Archive) -> None:
    with provider(records, addresses_of(archive), MovedClock()) as port:
        assert ask(port).Status == 0x0115
        assert ask(port, (MRImageStorage, slice_uid(1)), action=2).Status == 0x0123
