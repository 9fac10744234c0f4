"""Reports of storage commitment: N-EVENT-REPORT to who asked, until it is heard (PS3.4 J.3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_role
from sqlalchemy import select

from core.clock import Clock
from core.database import CommitmentRow, Sessions
from core.errors import Transient
from core.logs import logger
from core.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from service.retrieval.addresses import NO_DELAY, AddressBook
from service.retrieval.commitment import COMMITMENT_ROLE, GIVEN_UP, REPORTED, REPORTING
from service.retrieval.sop_classes import (
    STORAGE_COMMITMENT_PUSH_MODEL,
    STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
)

FIRST_PAUSE_S = 10.0
LONGEST_PAUSE_S = 3600.0
"""After a failed report; the pause doubles in between."""

REPORT_FOR_S = 3 * 86_400.0
"""A peer that was away over a weekend still gets its report; later it has asked again."""

TIMEOUT_S = 30.0
"""For connecting, and for each answer."""

REPORTS_A_STEP = 20

ALL_COMMITTED = 1
SOME_FAILED = 2
"""Event types, PS3.4 J.3.3.1."""

MAX_ERROR_LENGTH = 500


@dataclass(frozen=True, slots=True)
class CommitmentReports:
    """Sends what is due; a report that got lost is sent again.

    Parameters
    ----------
    ae_title
        Ours.
    """

    ae_title: str
    sessions: Sessions
    read_sessions: Sessions
    addresses: AddressBook
    clock: Clock
    timeout_s: float = TIMEOUT_S

    def report_due(self) -> int:
        """Send the reports that are due; return how many there were."""
        due = (CommitmentRow.role == COMMITMENT_ROLE, CommitmentRow.state == REPORTING)
        with self.read_sessions() as session:
            ids = session.scalars(
                select(CommitmentRow.id)
                .where(*due, CommitmentRow.next_try_at <= self.clock())
                .order_by(CommitmentRow.next_try_at)
                .limit(REPORTS_A_STEP)
            ).all()
        for commitment in ids:
            row = self._claim(commitment)
            if row is not None:
                self._report(row)
        return len(ids)

    def _claim(self, commitment: int) -> CommitmentRow | None:
        """Count the attempt and put the next one off before this one begins."""
        now = self.clock()
        with self.sessions.begin() as session:
            row = session.get(CommitmentRow, commitment, with_for_update=True)
            if row is None or row.state != REPORTING or row.next_try_at > now:
                return None
            row.attempts += 1
            row.next_try_at = now + timedelta(seconds=pause_s(row.attempts))
            if now - row.created_at > timedelta(seconds=REPORT_FOR_S):
                row.state = GIVEN_UP
                logger().error("a commitment report was given up", peer=row.peer_ae_title)
                return None
            return row

    def _report(self, row: CommitmentRow) -> None:
        try:
            self._send(row)
        except Exception as error:  # noqa: BLE001 - it is tried again, whatever it was
            logger().warning("a commitment report waits", peer=row.peer_ae_title, error=type(error).__name__)
            self._note(row.id, last_error=f"{type(error).__name__}: {error}"[:MAX_ERROR_LENGTH])
            return
        self._note(row.id, last_error="", answered_at=self.clock())

    def _send(self, row: CommitmentRow) -> None:
        address = self.addresses.find(row.peer_ae_title)
        if address is None:
            raise Transient(f"no address of {row.peer_ae_title} is configured")
        entity = AE(self.ae_title)
        entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = self.timeout_s
        entity.add_requested_context(STORAGE_COMMITMENT_PUSH_MODEL)
        association = entity.associate(
            address.host,
            address.port,
            ae_title=address.ae_title,
            ext_neg=[build_role(STORAGE_COMMITMENT_PUSH_MODEL, scp_role=True)],
            evt_handlers=[NO_DELAY],
            tls_args=self.addresses.tls_arguments(address),
        )
        if not association.is_established:
            raise Transient(f"{address.ae_title} at {address.host}:{address.port} accepts no association")
        try:
            event_type = SOME_FAILED if row.failures else ALL_COMMITTED
            status, _ = association.send_n_event_report(
                report_of(row),
                event_type,
                STORAGE_COMMITMENT_PUSH_MODEL,
                STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
            )
        finally:
            association.release()
        if status.get("Status") != 0:
            raise Transient(f"{address.ae_title} answered {status.get('Status')!r}; expected 0")

    def _note(self, commitment: int, *, last_error: str, answered_at: datetime | None = None) -> None:
        with self.sessions.begin() as session:
            row = session.get_one(CommitmentRow, commitment, with_for_update=True)
            row.last_error = last_error
            if answered_at is not None:
                row.answered_at, row.state = answered_at, REPORTED


def report_of(row: CommitmentRow) -> Dataset:
    """Return the information of an N-EVENT-REPORT (PS3.4 table J.3-2)."""
    report = Dataset()
    report.TransactionUID = row.transaction_uid
    references = [(_reference(*pair), row.failures.get(pair[1])) for pair in row.references["instances"]]
    report.ReferencedSOPSequence = [item for item, reason in references if reason is None]
    failed = [(item, reason) for item, reason in references if reason is not None]
    for item, reason in failed:
        item.FailureReason = reason
    if failed:
        report.FailedSOPSequence = [item for item, _ in failed]
    if not report.ReferencedSOPSequence:
        del report.ReferencedSOPSequence
    return report


def pause_s(attempts: int) -> float:
    """Return how long to wait after so many attempts, in seconds."""
    return min(FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 20), LONGEST_PAUSE_S)


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    return item
