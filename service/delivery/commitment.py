"""Storage commitment as SCU (PS3.4 Annex J): a destination is asked to keep what it stored.

The request is written down before it is made; the answer may come on the same association, or later on
one the peer opens to our receiver, and may come late, twice, or never.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event

from pydicom import Dataset
from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.association import Association
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from core.clock import Clock
from core.database import CommitmentRow, DeliveryRow, Sessions
from core.destinations import DicomDestination
from core.errors import Transient
from core.logs import logger
from core.settings import DeliverySettings
from core.study_store import StudyStore
from service.delivery.association import Caller, NothingAccepted, open_association
from service.delivery.backoff import Backoff
from service.delivery.outbox import DeliveryState, reopen
from service.delivery.parcel import load_parcel
from service.delivery.results import ResultObject

ROLE = "scu"
WAITING, COMMITTED, FAILED, EXPIRED = "waiting", "committed", "failed", "expired"
"""Of ``CommitmentRow.state``, where we asked."""

PUSH_MODEL = "1.2.840.10008.1.20.1"
PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"
"""Storage Commitment Push Model SOP class and its well-known instance, PS3.4 J.3.5."""

REQUEST_COMMITMENT = 1
"""Action type, PS3.4 J.3.2."""

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
NO_SUCH_EVENT = 0x0113
INVALID_ARGUMENT = 0x0115
"""Statuses of N-EVENT-REPORT, PS3.7 10.1.1."""

REPORTS = (1, 2)
"""Event types: everything is committed; something is not, PS3.4 J.3.3."""

REQUESTS_A_ROUND = 20

NOT_SENT = "the request was not made: "


@dataclass(frozen=True, slots=True)
class _Request:
    """A request on its way."""

    row_id: int
    transaction_uid: str
    results: Sequence[ResultObject]


@dataclass(frozen=True, slots=True)
class CommitmentAnswers:
    """Records what peers answer; used by the receiver and by the associations of the requests."""

    sessions: Sessions
    clock: Clock
    tries: int

    def on_report(self, event: evt.Event) -> tuple[int, None]:
        """Answer an N-EVENT-REPORT; never raises."""
        if event.event_type not in REPORTS:
            return NO_SUCH_EVENT, None
        try:
            information = event.event_information
            with self.sessions.begin() as session:
                known = self._record(session, information, _peer_of(event))
        except Exception as error:  # noqa: BLE001 - the peer must have an answer, and may report again
            logger().error("a commitment report failed", error=type(error).__name__)
            return PROCESSING_FAILURE, None
        return (SUCCESS if known else INVALID_ARGUMENT), None

    def _record(self, session: Session, information: Dataset, peer: str) -> bool:
        """Write an answer down; False for one to nothing we asked this peer."""
        row = session.scalars(
            select(CommitmentRow)
            .where(
                CommitmentRow.transaction_uid == str(information.get("TransactionUID", "")),
                CommitmentRow.role == ROLE,
                CommitmentRow.peer_ae_title == peer,
            )
            .with_for_update()
        ).one_or_none()
        if row is None:
            logger().warning("a commitment report answers nothing we asked", calling_ae_title=peer)
            return False
        if row.state in (COMMITTED, FAILED):  # once more, after an answer of ours got lost
            return True
        self._conclude(session, row, information)
        return True

    def _conclude(self, session: Session, row: CommitmentRow, information: Dataset) -> None:
        now = self.clock()
        kept = {str(item.ReferencedSOPInstanceUID) for item in information.get("ReferencedSOPSequence") or ()}
        reasons = {
            str(item.ReferencedSOPInstanceUID): int(item.get("FailureReason", PROCESSING_FAILURE))
            for item in information.get("FailedSOPSequence") or ()
        }
        asked = [instance for _, instance in row.references["instances"]]
        row.failures = {uid: reasons.get(uid, PROCESSING_FAILURE) for uid in asked if uid not in kept}
        row.state, row.answered_at = (FAILED if row.failures else COMMITTED), now
        delivery = session.get(DeliveryRow, row.delivery_id, with_for_update=True)
        if delivery is None or delivery.state != DeliveryState.DELIVERED:
            return
        if row.state == COMMITTED:
            delivery.committed_at = now
            return
        failed = _count(session, delivery.id, FAILED)
        first = next(iter(row.failures.values()))
        reopen(
            delivery,
            f"{len(row.failures)} of {len(asked)} stored objects are not committed, reason 0x{first:04X}",
            now,
            give_up=failed >= self.tries,
        )


@dataclass(frozen=True, slots=True)
class CommitmentRequester:
    """Asks the destinations that are to commit themselves, until they answered.

    Parameters
    ----------
    new_uid
        Returns a transaction UID nobody had before.
    """

    sessions: Sessions
    read_sessions: Sessions
    store: StudyStore
    settings: DeliverySettings
    caller: Caller
    answers: CommitmentAnswers
    clock: Clock
    backoff: Backoff
    new_uid: Callable[[], str]

    def request_due(self) -> int:
        """Make every request that is due; return how many there were."""
        return sum(
            self._request(delivery_id, destination)
            for destination in self.settings.destinations
            if isinstance(destination, DicomDestination) and destination.commits
            for delivery_id in self._due(destination.name)
        )

    def _due(self, destination: str) -> list[int]:
        now = self.clock()
        resting = select(CommitmentRow.id).where(
            CommitmentRow.delivery_id == DeliveryRow.id, CommitmentRow.next_try_at > now
        )
        statement = (
            select(DeliveryRow.id)
            .where(
                DeliveryRow.destination == destination,
                DeliveryRow.state == DeliveryState.DELIVERED,
                DeliveryRow.committed_at.is_(None),
                DeliveryRow.remark == "",  # what a peer has in another form is not ours to ask about
                ~resting.exists(),
            )
            .order_by(DeliveryRow.delivered_at)
            .limit(REQUESTS_A_ROUND)
        )
        with self.read_sessions() as session:
            return list(session.scalars(statement))

    def _request(self, delivery_id: int, destination: DicomDestination) -> bool:
        request = self._write_down(delivery_id, destination)
        if request is None:
            return False
        try:
            self._ask(request, destination)
        except (Transient, NothingAccepted) as error:
            self._postpone(request, delivery_id, str(error))
        return True

    def _write_down(self, delivery_id: int, destination: DicomDestination) -> _Request | None:
        now = self.clock()
        with self.sessions.begin() as session:
            delivery = session.get_one(DeliveryRow, delivery_id, with_for_update=True)
            results = load_parcel(session, self.store, delivery.job_id, destination).wanted
            if not results:
                delivery.committed_at = now
                return None
            waiting = (CommitmentRow.delivery_id == delivery_id, CommitmentRow.state == WAITING)
            session.execute(update(CommitmentRow).where(*waiting).values(state=EXPIRED))
            row = CommitmentRow(
                transaction_uid=self.new_uid(),
                role=ROLE,
                delivery_id=delivery_id,
                peer_ae_title=destination.ae_title,
                peer_address=destination.host,
                state=WAITING,
                references={"instances": [[r.sop_class_uid, r.sop_instance_uid] for r in results]},
                next_try_at=now + timedelta(seconds=self.settings.commitment_overdue_s),
                created_at=now,
            )
            session.add(row)
            session.flush()
            return _Request(row.id, row.transaction_uid, results)

    def _ask(self, request: _Request, destination: DicomDestination) -> None:
        """Make a request, and wait a little for an answer on the same association.

        Raises
        ------
        Transient
            The peer is not there, or did not take the request.
        NothingAccepted
            The peer knows no storage commitment.
        """
        answered = Event()

        def on_report(event: evt.Event) -> tuple[int, None]:
            try:
                return self.answers.on_report(event)
            finally:
                answered.set()

        contexts = [(PUSH_MODEL, str(ImplicitVRLittleEndian))]
        handlers = [(evt.EVT_N_EVENT_REPORT, on_report)]
        association = open_association(destination, contexts, self.caller, handlers)
        try:
            self._send(association, request, destination)
            answered.wait(self.settings.commitment_wait_s)
        finally:
            if association.is_established:
                association.release()

    def _send(self, association: Association, request: _Request, destination: DicomDestination) -> None:
        try:
            status, _ = association.send_n_action(
                _information(request), REQUEST_COMMITMENT, UID(PUSH_MODEL), UID(PUSH_MODEL_INSTANCE)
            )
        except RuntimeError as error:  # the peer ended the association a moment ago
            raise Transient(f"{destination.where} ended the association") from error
        if status.get("Status") != SUCCESS:
            said = f"0x{status.Status:04X}" if "Status" in status else "nothing"
            raise Transient(f"{destination.where} answered the commitment request with {said}")

    def _postpone(self, request: _Request, delivery_id: int, error: str) -> None:
        logger().warning("storage commitment postponed", error=error)
        with self.sessions.begin() as session:
            pause_s = self.backoff.pause_s(_count(session, delivery_id, EXPIRED) + 1)
            row = session.get_one(CommitmentRow, request.row_id, with_for_update=True)
            if row.state == WAITING:
                row.state, row.last_error = EXPIRED, (NOT_SENT + error)[:500]
                row.next_try_at = _later(self.clock(), pause_s)


def _information(request: _Request) -> Dataset:
    information = Dataset()
    information.TransactionUID = request.transaction_uid
    information.ReferencedSOPSequence = [_reference(result) for result in request.results]
    return information


def _reference(result: ResultObject) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = result.sop_class_uid
    item.ReferencedSOPInstanceUID = result.sop_instance_uid
    return item


def _peer_of(event: evt.Event) -> str:
    """Return the AE title of whoever reports: the one we called, or the one that called us."""
    association = event.assoc
    peer = association.acceptor if association.is_requestor else association.requestor
    return str(peer.ae_title).strip()


def _count(session: Session, delivery_id: int, state: str) -> int:
    statement = select(func.count(CommitmentRow.id)).where(
        CommitmentRow.delivery_id == delivery_id, CommitmentRow.state == state
    )
    return session.scalars(statement).one()


def _later(now: datetime, pause_s: float) -> datetime:
    return now + timedelta(seconds=pause_s)
