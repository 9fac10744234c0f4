"""C-MOVE and C-GET: received instances and results for whoever asks (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pynetdicom import evt
from pynetdicom.presentation import build_context
from sqlalchemy import select

from core.audit import Actor, Audit
from core.database import Sessions, StudyRow
from core.errors import InvalidInput, MetserveError
from core.logs import logger
from core.peers import Right
from core.study_store import StudyStore
from service.catalogue.instances import ROWS_AT_ONCE, StoredInstance, instances
from service.receiving.dicom_service import DicomService
from service.retrieval.addresses import NO_DELAY, AddressBook, PeerAddress
from service.retrieval.events import principal_of, transfer_event
from service.retrieval.identifiers import identifier_of, level_of, retrieved_uids
from service.retrieval.sending import Dispatch, InstanceReference, contexts_for, reference_to
from service.retrieval.sop_classes import PATIENT_ROOT_GET, PATIENT_ROOT_MOVE, STUDY_ROOT_GET, STUDY_ROOT_MOVE

CONCURRENT_RETRIEVALS = 8
"""Retrievals at once: they share disk, network and places at the door with what the PACS sends."""

WAIT_FOR_PLACE_S = 20.0
"""How long one more waits; less than a peer's usual patience."""

MAX_SUBOPERATIONS = 65_535
"""What the counters of a response hold (US); a request for more must be split."""

PENDING = 0xFF00
CANCELLED = 0xFE00
OUT_OF_RESOURCES = 0xA702
DESTINATION_UNKNOWN = 0xA801
IDENTIFIER_DOES_NOT_MATCH = 0xA900
UNABLE_TO_PROCESS = 0xC000
"""Statuses of PS3.4 C.4.2.1.5 and C.4.3.1.4."""


class Refused(MetserveError):
    """A retrieval that does not begin."""

    def __init__(self, status: int, comment: str) -> None:
        super().__init__(comment)
        self.status = status
        self.comment = comment


@dataclass(frozen=True, slots=True)
class RetrievalProvider:
    """Sends instances to who asks (C-GET) or to somebody else (C-MOVE).

    Parameters
    ----------
    ae_title
        Ours.
    addresses
        To whom a C-MOVE may send.
    """

    ae_title: str
    read_sessions: Sessions
    store: StudyStore
    addresses: AddressBook
    audit: Audit
    wait_for_place_s: float = WAIT_FOR_PLACE_S
    places: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(CONCURRENT_RETRIEVALS))

    def service(self) -> DicomService:
        """Return what the DICOM door serves; its storage contexts must allow both roles for C-GET."""
        models = (
            STUDY_ROOT_MOVE,
            STUDY_ROOT_GET,
            PATIENT_ROOT_MOVE,
            PATIENT_ROOT_GET,
        )
        handlers = [(evt.EVT_C_MOVE, self.move), (evt.EVT_C_GET, self.get)]
        return DicomService(Right.RETRIEVE, [build_context(model) for model in models], handlers)

    def move(self, event: evt.Event) -> Iterator[Any]:
        """Yield destination, number of instances, and each of them; never raises."""
        try:
            receiver = self._destination(event)
            with self._place():
                found = self._found(event)
                dispatch = Dispatch(originator=str(event.assoc.requestor.ae_title).strip())
                yield receiver.host, receiver.port, self._call(receiver, found, dispatch)
                yield len(found)
                actor = Actor(receiver.ae_title, receiver.host, is_requestor=False, role="destination")
                yield from self._each(event, found, dispatch, actor)
        except Refused as refusal:
            _refuse(event, refusal)
            yield None, None

    def get(self, event: evt.Event) -> Iterator[Any]:
        """Yield the number of instances, and each of them; never raises."""
        try:
            with self._place():
                found = self._found(event)
                dispatch = Dispatch()
                yield len(found)
                with _sends_references(event, dispatch):
                    yield from self._each(event, found, dispatch, None)
        except Refused as refusal:
            _refuse(event, refusal)
            yield 0

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        if not self.places.acquire(timeout=self.wait_for_place_s):
            raise Refused(OUT_OF_RESOURCES, "too many retrievals at once; try again later")
        try:
            yield
        finally:
            self.places.release()

    def _destination(self, event: evt.Event) -> PeerAddress:
        ae_title = str(event.move_destination)
        address = self.addresses.find(ae_title)
        if address is None:
            raise Refused(DESTINATION_UNKNOWN, f"no address of {ae_title.strip()} is configured")
        return address

    def _found(self, event: evt.Event) -> list[StoredInstance]:
        try:
            identifier = identifier_of(event)
            uids = retrieved_uids(level_of(event, identifier), identifier)
            with self.read_sessions() as session:
                found = list(_instances(self, session, event, uids))
        except InvalidInput as error:
            raise Refused(IDENTIFIER_DOES_NOT_MATCH, str(error)) from error
        except Exception as error:
            logger().error("retrieval failed", error=type(error).__name__)
            raise Refused(UNABLE_TO_PROCESS, "the request could not be processed") from error
        if len(found) > MAX_SUBOPERATIONS:
            raise Refused(UNABLE_TO_PROCESS, f"{len(found)} instances; retrieve series by series")
        return found

    def _call(
        self, receiver: PeerAddress, found: Sequence[StoredInstance], dispatch: Dispatch
    ) -> dict[str, Any]:
        """Return pynetdicom's arguments for the association to a C-MOVE's destination."""
        return {
            "ae_title": receiver.ae_title,
            "contexts": contexts_for(found),
            "tls_args": self.addresses.tls_arguments(receiver),
            "evt_handlers": [
                NO_DELAY,
                (evt.EVT_ESTABLISHED, lambda established: dispatch.take_over(established.assoc)),
            ],
        }

    def _each(
        self, event: evt.Event, found: Sequence[StoredInstance], dispatch: Dispatch, receiver: Actor | None
    ) -> Iterator[tuple[int, InstanceReference | None]]:
        try:
            for instance in found:
                if event.is_cancelled:
                    yield CANCELLED, None
                    return
                yield PENDING, reference_to(instance)
        finally:
            try:
                self._record(event, dispatch, receiver)
            except Exception as error:  # noqa: BLE001 - the peer has what it asked for, and must be told
                logger().error("a retrieval was not audited", error=type(error).__name__)

    def _record(self, event: evt.Event, dispatch: Dispatch, receiver: Actor | None) -> None:
        studies = sorted({instance.study_instance_uid for instance in dispatch.sent})
        patients: dict[str, tuple[str, str]] = {}
        with self.read_sessions() as session:
            for start in range(0, len(studies), ROWS_AT_ONCE):
                some = StudyRow.study_instance_uid.in_(studies[start : start + ROWS_AT_ONCE])
                columns = (StudyRow.study_instance_uid, StudyRow.patient_id, StudyRow.patient_name)
                patients |= {
                    row[0]: (row[1], row[2]) for row in session.execute(select(*columns).where(some))
                }
        record = transfer_event(
            event, self.ae_title, receiver, dispatch.sent, patients, failed=dispatch.failed
        )
        self.audit.record(record)


def _instances(
    provider: RetrievalProvider, session: Any, event: evt.Event, uids: dict[str, list[str]]
) -> Iterator[StoredInstance]:
    patients: list[str | None] = [*uids.get("PatientID", [])]
    for patient_id in patients or [None]:
        yield from instances(
            session,
            provider.store,
            principal_of(event),
            study_instance_uid=uids.get("StudyInstanceUID"),
            series_instance_uid=uids.get("SeriesInstanceUID"),
            sop_instance_uid=uids.get("SOPInstanceUID"),
            patient_id=patient_id,
        )


@contextlib.contextmanager
def _sends_references(event: evt.Event, dispatch: Dispatch) -> Iterator[None]:
    """Let the requestor's own association send, for as long as its C-GET lasts."""
    dispatch.take_over(event.assoc)
    try:
        yield
    finally:
        del event.assoc.send_c_store


def _refuse(event: evt.Event, refusal: Refused) -> None:
    """Answer with a status of our own.

    pynetdicom answers a handler that names no destination, or no instances, with 0xA801 or 0x0000 and
    knows no others before the first sub-operation. This changes that one answer.
    """
    logger().warning("retrieval refused", status=f"0x{refusal.status:04X}", reason=refusal.comment)
    dimse: Any = event.assoc.dimse
    send = dimse.send_msg

    def send_refusal(response: Any, context_id: int) -> None:
        del dimse.send_msg
        response.Status = refusal.status
        response.ErrorComment = refusal.comment[:64]
        send(response, context_id)

    dimse.send_msg = send_refusal
