"""Storage commitment asked of a destination: the request on the wire, and every answer a peer may give."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from sqlalchemy import select

from core.database import CommitmentRow, DeliveryRow
from core.destinations import DicomDestination
from core.job import JobState
from core.settings import DeliverySettings
from service.delivery.backoff import Backoff
from service.delivery.commitment import (
    COMMITTED,
    EXPIRED,
    FAILED,
    PUSH_MODEL,
    WAITING,
    CommitmentAnswers,
    CommitmentRequester,
)
from service.delivery.courier import caller_of
from service.delivery.outbox import DeliveryState
from tests.service.service_records import NOON, MovedClock, Records
from tests.service.storage_peers import free_port

OVERDUE_S = 3600.0
TRIES = 2


class Archive:
    """A peer that takes requests for commitment."""

    def __init__(self, port: int, status: int = 0x0000) -> None:
        self.requests: list[Dataset] = []
        self.status = status
        ae = AE("ARCHIVE")
        ae.add_supported_context(PUSH_MODEL)
        handlers = [(evt.EVT_N_ACTION, self._take)]
        self.server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)

    def _take(self, event: evt.Event) -> tuple[int, None]:
        self.requests.append(event.action_information)
        return self.status, None


@contextmanager
def archive(port: int, status: int = 0x0000) -> Iterator[Archive]:
    peer = Archive(port, status)
    try:
        yield peer
    finally:
        peer.server.shutdown()


class Desk:
    """A delivered job, and what asks and records about it."""

    def __init__(self, folder: Path) -> None:
        self.records, self.clock, self.port = Records(folder), MovedClock(), free_port()
        self.records.add_job(state=JobState.DELIVERED)
        self.records.change(lambda session: session.add(_delivered()))
        destination = DicomDestination(
            name="archive", ae_title="ARCHIVE", host="127.0.0.1", port=self.port, commitment=True
        )
        settings = DeliverySettings(
            destinations=(destination,),
            timeout_s=5,
            commitment_wait_s=0,
            commitment_overdue_s=OVERDUE_S,
        )
        self.answers = CommitmentAnswers(self.records.sessions, self.clock, TRIES)
        numbers = count(1)
        self.requester = CommitmentRequester(
            self.records.sessions,
            self.records.read_sessions,
            self.records.store,
            settings,
            caller_of(settings, None),
            self.answers,
            self.clock,
            Backoff(30, 3600, lambda: 0.0),
            lambda: f"2.25.{next(numbers)}",
        )

    def ask(self) -> int:
        return self.requester.request_due()

    def answer(self, transaction: str, *, failed: int = 0, peer: str = "ARCHIVE") -> int:
        """Report on a transaction, with so many of its objects failed."""
        asked = self.row(transaction).references["instances"] if transaction in self.transactions() else []
        information = Dataset()
        information.TransactionUID = transaction
        information.ReferencedSOPSequence = [_item(uid) for _, uid in asked[failed:]]
        if failed:
            information.FailedSOPSequence = [_item(uid, 0x0110) for _, uid in asked[:failed]]
        assoc = SimpleNamespace(is_requestor=False, requestor=SimpleNamespace(ae_title=peer))
        event = SimpleNamespace(event_type=2 if failed else 1, event_information=information, assoc=assoc)
        return self.answers.on_report(event)[0]

    def transactions(self) -> list[str]:
        with self.records.read_sessions() as session:
            return list(session.scalars(select(CommitmentRow.transaction_uid).order_by(CommitmentRow.id)))

    def row(self, transaction: str) -> CommitmentRow:
        with self.records.read_sessions() as session:
            return session.scalars(
                select(CommitmentRow).where(CommitmentRow.transaction_uid == transaction)
            ).one()

    def delivery(self) -> DeliveryRow:
        with self.records.read_sessions() as session:
            return session.scalars(select(DeliveryRow)).one()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def _delivered() -> DeliveryRow:
    return DeliveryRow(
        job_id="job-1",
        destination="archive",
        state=DeliveryState.DELIVERED.value,
        delivered_at=NOON,
        next_try_at=NOON,
        created_at=NOON,
    )


def _item(uid: str, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPInstanceUID = uid
    if reason is not None:
        item.FailureReason = reason
    return item


def test_a_request_names_every_object_that_was_stored(desk: Desk) -> None:
    with archive(desk.port) as peer:
        assert desk.ask() == 1
    (request,) = peer.requests
    assert request.TransactionUID == "2.25.1"
    assert len(request.ReferencedSOPSequence) == 2
    assert desk.row("2.25.1").state == WAITING
    assert desk.ask() == 0, "its answer is awaited"


def test_what_is_committed_is_recorded_and_not_asked_again(desk: Desk) -> None:
    with archive(desk.port):
        desk.ask()
    desk.clock.advance(5)
    assert desk.answer("2.25.1") == 0x0000
    assert desk.row("2.25.1").state == COMMITTED
    assert desk.delivery().committed_at == desk.clock.now
    desk.clock.advance(2 * OVERDUE_S)
    assert desk.ask() == 0


def test_an_answer_that_comes_twice_changes_nothing_more(desk: Desk) -> None:
    with archive(desk.port):
        desk.ask()
    desk.answer("2.25.1")
    before = desk.delivery().committed_at
    desk.clock.advance(60)
    assert desk.answer("2.25.1", failed=1) == 0x0000
    assert desk.delivery().committed_at == before


def test_what_is_not_committed_is_sent_again_and_given_up_after_some_tries(desk: Desk) -> None:
    with archive(desk.port):
        desk.ask()
        assert desk.answer("2.25.1", failed=1) == 0x0000
        assert desk.row("2.25.1").state == FAILED
        assert desk.delivery().state == DeliveryState.PENDING
        desk.records.change(_store_again)
        desk.clock.advance(2 * OVERDUE_S)
        desk.ask()
        desk.answer("2.25.2", failed=2)
    assert desk.delivery().state == DeliveryState.GIVEN_UP
    assert "2 of 2 stored objects are not committed, reason 0x0110" in desk.delivery().last_error


def _store_again(session: object) -> None:
    row = session.scalars(select(DeliveryRow)).one()  # type: ignore[attr-defined]
    row.state, row.delivered_at = DeliveryState.DELIVERED.value, NOON


def test_an_overdue_answer_is_asked_for_again_and_may_still_come(desk: Desk) -> None:
    with archive(desk.port) as peer:
        desk.ask()
        desk.clock.advance(OVERDUE_S + 1)
        desk.ask()
    assert [request.TransactionUID for request in peer.requests] == ["2.25.1", "2.25.2"]
    assert desk.row("2.25.1").state == EXPIRED
    assert desk.answer("2.25.1") == 0x0000
    assert desk.delivery().committed_at is not None


def test_an_answer_to_nothing_or_from_somebody_else_is_refused(desk: Desk) -> None:
    with archive(desk.port):
        desk.ask()
    assert desk.answer("2.25.99") == 0x0115
    assert desk.answer("2.25.1", peer="STRANGER") == 0x0115
    assert desk.row("2.25.1").state == WAITING


# pynetdicom leaves the socket of a connection that did not come about to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_peer_that_is_away_is_asked_later(desk: Desk) -> None:
    desk.ask()
    assert desk.row("2.25.1").state == EXPIRED
    assert "cannot be reached" in desk.row("2.25.1").last_error
    assert desk.ask() == 0
    desk.clock.advance(31)
    with archive(desk.port) as peer:
        assert desk.ask() == 1
    assert len(peer.requests) == 1


def test_a_peer_that_refuses_the_request_is_asked_later(desk: Desk) -> None:
    with archive(desk.port, status=0x0110):
        desk.ask()
    assert "0x0110" in desk.row("2.25.1").last_error


def test_a_delivery_that_arrived_in_another_form_is_not_asked_about(desk: Desk) -> None:
    def remark(session: object) -> None:
        session.scalars(select(DeliveryRow)).one().remark = "seg: not accepted"  # type: ignore[attr-defined]

    desk.records.change(remark)
    assert desk.ask() == 0
