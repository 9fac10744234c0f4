"""Storage commitment: which of the instances a peer sent us we are going to keep (PS3.4 Annex J)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.presentation import build_context
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.clock import Clock
from core.database import CommitmentRow, InstanceRow, Sessions
from core.errors import InvalidInput
from core.logs import logger
from core.peers import Right
from core.study_store import StudyStore
from core.uids import is_acceptable_uid
from service.catalogue.instances import ROWS_AT_ONCE
from service.receiving.dicom_service import DicomService
from service.retrieval.addresses import AddressBook
from service.retrieval.events import calling_ae_title
from service.retrieval.sop_classes import STORAGE_COMMITMENT_PUSH_MODEL

COMMITMENT_ROLE = "scp"
REPORTING = "reporting"
REPORTED = "reported"
GIVEN_UP = "given_up"
"""Of ``CommitmentRow.state``, where a peer asked us."""

REQUEST_STORAGE_COMMITMENT = 1
"""Action type, PS3.4 J.3.2.1."""

NO_SUCH_INSTANCE = 0x0112
CLASS_MISMATCH = 0x0119
"""Failure reasons, PS3.3 C.14.1.1."""

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
INVALID_ARGUMENT = 0x0115
NO_SUCH_ACTION = 0x0123
"""Statuses of N-ACTION, PS3.7 10.1.4."""

MAX_INSTANCES = 100_000
"""References of one request; they are kept in the database."""

Reply = tuple[int | Dataset, Dataset | None]
Handler = Callable[[evt.Event], Reply]


def commitment_service(on_action: Handler, on_report: Handler) -> DicomService:
    """Return both sides of storage commitment as the door serves them.

    Parameters
    ----------
    on_action
        A peer asks us to commit (EVT_N_ACTION).
    on_report
        A peer that we asked answers (EVT_N_EVENT_REPORT).
    """
    context = build_context(STORAGE_COMMITMENT_PUSH_MODEL)
    context.scu_role = context.scp_role = True  # without both, reports cannot be negotiated
    handlers = [(evt.EVT_N_ACTION, on_action), (evt.EVT_N_EVENT_REPORT, on_report)]
    return DicomService(Right.STORE, [context], handlers)


@dataclass(frozen=True, slots=True)
class CommitmentRequest:
    """What a peer asks for."""

    transaction_uid: str
    references: tuple[tuple[str, str], ...]
    """SOP class and SOP instance UID."""


@dataclass(frozen=True, slots=True)
class CommitmentProvider:
    """Takes requests for commitment; the report follows on an association of its own."""

    sessions: Sessions
    store: StudyStore
    addresses: AddressBook
    clock: Clock

    def on_action(self, event: evt.Event) -> Reply:
        """Answer an N-ACTION; never raises."""
        ae_title = calling_ae_title(event)
        if event.action_type != REQUEST_STORAGE_COMMITMENT:
            return _refusal(NO_SUCH_ACTION, f"action type {event.action_type}; expected 1")
        if self.addresses.find(ae_title) is None:
            return _refusal(PROCESSING_FAILURE, f"no address of {ae_title} to report to is configured")
        try:
            request = read_request(event.action_information)
            self._accept(event, ae_title, request)
        except InvalidInput as error:
            return _refusal(INVALID_ARGUMENT, str(error))
        except Exception as error:  # noqa: BLE001 - the peer must have an answer, and asks again
            logger().error("a commitment request failed", error=type(error).__name__)
            return _refusal(PROCESSING_FAILURE, "the request could not be kept; try again later")
        return SUCCESS, None

    def _accept(self, event: evt.Event, ae_title: str, request: CommitmentRequest) -> None:
        """Keep the request with its outcome; one that was asked before is answered as before."""
        now = self.clock()
        with self.sessions.begin() as session:
            known = session.scalars(
                select(CommitmentRow)
                .where(
                    CommitmentRow.transaction_uid == request.transaction_uid,
                    CommitmentRow.role == COMMITMENT_ROLE,
                    CommitmentRow.peer_ae_title == ae_title,
                )
                .with_for_update()
            ).first()
            if known is not None:
                known.state, known.attempts, known.next_try_at = REPORTING, 0, now
                known.created_at = now
                return
            address = event.assoc.requestor.address_info
            row = CommitmentRow(
                transaction_uid=request.transaction_uid,
                role=COMMITMENT_ROLE,
                peer_ae_title=ae_title,
                peer_address=str(address.address) if address else "",
                state=REPORTING,
                references={"instances": [list(reference) for reference in request.references]},
                failures=failures_of(session, self.store, request.references),
                next_try_at=now,
                created_at=now,
            )
            session.add(row)


def read_request(information: Dataset) -> CommitmentRequest:
    """Return what an N-ACTION asks for (PS3.4 table J.3-1).

    Raises
    ------
    InvalidInput
        It is incomplete.
    """
    try:
        transaction_uid = str(information.TransactionUID)
        references = tuple(
            (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
            for item in information.ReferencedSOPSequence
        )
    except Exception as error:  # pydicom raises what it likes
        raise InvalidInput("expected Transaction UID and Referenced SOP Sequence") from error
    if not is_acceptable_uid(transaction_uid):
        raise InvalidInput("Transaction UID: expected digits and dots")
    if not 0 < len(references) <= MAX_INSTANCES:
        raise InvalidInput(f"{len(references)} references; expected 1 to {MAX_INSTANCES}")
    return CommitmentRequest(transaction_uid, references)


def failures_of(session: Session, store: StudyStore, references: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return SOP instance UID -> failure reason of what we do not keep.

    Kept is what was received: its row is committed and its file, of the same length, on disk.
    """
    failures: dict[str, int] = {}
    for start in range(0, len(references), ROWS_AT_ONCE):
        some = references[start : start + ROWS_AT_ONCE]
        rows = session.execute(
            select(
                InstanceRow.sop_instance_uid,
                InstanceRow.sop_class_uid,
                InstanceRow.path,
                InstanceRow.size_bytes,
            ).where(InstanceRow.sop_instance_uid.in_([instance for _, instance in some]))
        )
        kept = {uid: sop_class for uid, sop_class, path, size in rows if _is_whole(store, path, size)}
        for sop_class, instance in some:
            if instance not in kept:
                failures[instance] = NO_SUCH_INSTANCE
            elif kept[instance] != sop_class:
                failures[instance] = CLASS_MISMATCH
    return failures


def _is_whole(store: StudyStore, path: str, size_bytes: int) -> bool:
    try:
        return store.resolve(path).stat().st_size == size_bytes
    except OSError:
        return False


def _refusal(status: int, comment: str) -> Reply:
    logger().warning("commitment request refused", status=f"0x{status:04X}", reason=comment)
    answer = Dataset()
    answer.Status = status
    answer.ErrorComment = comment[:64]
    return answer, None
