"""What is looked at regularly: disk, queue, parked jobs, destinations, audit trail, certificates."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from sqlalchemy import Row, Select, func, select

from core.clock import Clock
from core.database import AuditRow, DeliveryRow, JobRow, Sessions
from core.job import WAITING_FOR_STAGE, JobState
from core.study_store import StudyStore
from service.delivery.outbox import DeliveryState
from service.upkeep.conditions import Check, Condition

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on something is wrong.

    Parameters
    ----------
    free_bytes
        Least free disk.
    destination_failing_s, job_waiting_s, audit_unsent_s
        Longest time, in seconds.
    certificate_days
        Least time to the end of a certificate, in days.
    """

    free_bytes: int
    destination_failing_s: float
    job_waiting_s: float
    audit_unsent_s: float
    certificate_days: float


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks at an installation; changes nothing.

    Parameters
    ----------
    certificates
        Our own certificates by what they are for.
    audit_is_sent
        Whether there is an audit record repository.
    """

    read_sessions: Sessions
    store: StudyStore
    clock: Clock
    thresholds: Thresholds
    certificates: Collection[tuple[str, Path]] = ()
    audit_is_sent: bool = False

    def checks(self) -> list[Check]:
        """Return every check."""
        return [
            Check("disk", self.disk),
            Check("queue", self.queue),
            Check("parked", self.parked),
            Check("destination", self.destinations_failing),
            Check("given_up", self.deliveries_given_up),
            Check("audit", self.audit),
            Check("certificate", self.certificates_ending),
        ]

    def disk(self) -> Iterator[Condition]:
        """Look whether the disk fills up, before the receiver has to refuse studies."""
        free, least = self.store.free_bytes(), self.thresholds.free_bytes
        if free < least:
            yield Condition("disk", f"less than {least / GIB:.1f} GiB are free for the study store")

    def queue(self) -> Iterator[Condition]:
        """Look whether workers take jobs on."""
        waiting = (
            select(func.count(), func.min(JobRow.updated_at))
            .where(JobRow.state.in_([*WAITING_FOR_STAGE]))
            .where(JobRow.updated_at <= self._before(self.thresholds.job_waiting_s))
        )
        count, oldest = self._row(waiting)
        if count:
            yield Condition("queue", f"{count} jobs wait for a worker, the first since {_shown(oldest)}")

    def parked(self) -> Iterator[Condition]:
        """Look whether jobs wait for a person."""
        count, oldest = self._row(
            select(func.count(), func.min(JobRow.updated_at)).where(JobRow.state == JobState.PARKED)
        )
        if count:
            yield Condition("parked", f"{count} jobs are parked, the first since {_shown(oldest)}")

    def destinations_failing(self) -> Iterator[Condition]:
        """Look for destinations that have taken nothing for long although it was tried.

        Errors are not repeated here: what a peer says may name a patient.
        """
        tried = (
            select(DeliveryRow.destination, func.count(), func.min(DeliveryRow.created_at))
            .where(DeliveryRow.state == DeliveryState.PENDING, DeliveryRow.last_error != "")
            .where(DeliveryRow.created_at <= self._before(self.thresholds.destination_failing_s))
            .group_by(DeliveryRow.destination)
        )
        with self.read_sessions() as session:
            for name, count, oldest in session.execute(tried):
                said = f"{count} results cannot be delivered, the first since {_shown(oldest)}"
                yield Condition(f"destination:{name}", said)

    def deliveries_given_up(self) -> Iterator[Condition]:
        """Look for deliveries that nobody tries any more."""
        given_up = (
            select(DeliveryRow.destination, func.count())
            .where(DeliveryRow.state == DeliveryState.GIVEN_UP)
            .group_by(DeliveryRow.destination)
        )
        with self.read_sessions() as session:
            for name, count in session.execute(given_up):
                yield Condition(f"given_up:{name}", f"{count} deliveries were given up")

    def audit(self) -> Iterator[Condition]:
        """Look whether the audit trail reaches its repository."""
        if not self.audit_is_sent:
            return
        unsent = select(func.count(), func.min(AuditRow.recorded_at)).where(
            AuditRow.sent_at.is_(None),
            AuditRow.recorded_at <= self._before(self.thresholds.audit_unsent_s),
        )
        count, oldest = self._row(unsent)
        if count:
            said = f"the repository lacks audit messages, the first of {_shown(oldest)}"
            yield Condition("audit", said)

    def certificates_ending(self) -> Iterator[Condition]:
        """Look for certificates that end soon, or cannot be read."""
        latest = self.clock() + timedelta(days=self.thresholds.certificate_days)
        for purpose, path in self.certificates:
            try:
                ends_at = _end_of(path)
            except (OSError, ValueError) as error:
                yield Condition(f"certificate:{purpose}", f"cannot be read ({type(error).__name__})")
                continue
            if ends_at <= latest:
                yield Condition(f"certificate:{purpose}", f"expires at {_shown(ends_at)}")

    def _before(self, seconds: float) -> datetime:
        return self.clock() - timedelta(seconds=seconds)

    def _row(self, statement: Select[int, datetime]) -> Row[int, datetime]:
        with self.read_sessions() as session:
            return session.execute(statement).one()


def _end_of(path: Path) -> datetime:
    """Return when the first certificate of a chain to end does so."""
    chain = x509.load_pem_x509_certificates(path.read_bytes())
    return min(certificate.not_valid_after_utc for certificate in chain)


def _shown(moment: datetime) -> str:
    return moment.isoformat(timespec="minutes")
