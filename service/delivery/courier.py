"""Delivery: plans what goes where, pushes it when it is due, and tries again until it arrived.

Every destination has a thread of its own: a slow or dead peer delays nobody else. The outbox holds
all state, so that this process may end at any moment.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Event, Thread
from types import MappingProxyType

from prometheus_client import Counter

from core.audit import Audit, Unaudited
from core.clock import Clock
from core.database import Sessions
from core.destinations import Destination, DicomDestination, WebDestination
from core.errors import Defect, LeaseLost, Transient
from core.logs import logger
from core.settings import DeliverySettings
from core.study_store import StudyStore
from service.delivery import outbox
from service.delivery.association import Caller
from service.delivery.backoff import Backoff, Jitter
from service.delivery.fallbacks import with_fallbacks
from service.delivery.outbox import Claim
from service.delivery.parcel import Parcel, load_parcel
from service.delivery.push import longest_push_s, push
from service.delivery.push_report import PushReport, Verdict
from service.delivery.stow import stow
from service.delivery.transfer_audit import TransferAudit

COURIER_ERRORS = Counter("metserve_courier_errors", "Courier steps that failed.", ["step"])

CLAIM_MARGIN_S = 60.0
"""Added to the time a push can take: reading the files, a busy disk, a busy database."""

PUSHES_A_ROUND = 20
"""Deliveries one round takes for one destination before it looks at the stop signal again."""


class Courier:
    """Brings published results to the destinations.

    Parameters
    ----------
    sessions, read_sessions
        Transactions that write, and such that only read (a poll takes no write lock).
    store
        Where the published files are.
    settings
        Destinations, pauses and time limits.
    clock
        The present moment.
    jitter
        Spreads the retries.
    audit
        Gets every push.
    tls
        For destinations that want TLS; None: there are none.
    further
        Other steps about the outbox: storage commitment.
    """

    def __init__(
        self,
        *,
        sessions: Sessions,
        read_sessions: Sessions,
        store: StudyStore,
        settings: DeliverySettings,
        clock: Clock,
        jitter: Jitter,
        audit: Audit | None = None,
        tls: ssl.SSLContext | None = None,
        further: Mapping[str, Callable[[], object]] = MappingProxyType({}),
    ) -> None:
        self._sessions = sessions
        self._read_sessions = read_sessions
        self._store = store
        self._settings = settings
        self._clock = clock
        self._backoff = Backoff(settings.retry_first_s, settings.retry_longest_s, jitter)
        self._caller = caller_of(settings, tls)
        self._audit = TransferAudit(audit or Unaudited(), settings.ae_title)
        self._further = further
        self._names = [destination.name for destination in settings.destinations]
        self._notified = [destination.name for destination in settings.destinations if destination.notices]

    def plan(self) -> int:
        """Give every encoded job its deliveries; return how many jobs that were.

        Without destinations the job is DELIVERED at once: its results are served by REST alone.
        A job that cannot be planned holds up no other.
        """
        with self._read_sessions() as session:
            job_ids = outbox.unplanned_jobs(session, self._names)
        return sum(_succeeds(partial(self._plan, job_id), "plan", job_id=job_id) for job_id in job_ids)

    def plan_notices(self) -> int:
        """Put every notice on its way to the destinations that want notices; return how many there were."""
        with self._read_sessions() as session:
            job_ids = outbox.unplanned_notices(session)
        return sum(
            _succeeds(partial(self._plan_notice, job_id), "plan notice", job_id=job_id) for job_id in job_ids
        )

    def give_up_unconfigured(self) -> None:
        """Give up what waits for a destination that is no longer in the settings."""
        with self._read_sessions() as session:
            if not outbox.unconfigured_deliveries(session, self._names):
                return
        with self._sessions.begin() as session:
            for row in outbox.unconfigured_deliveries(session, self._names):
                outbox.give_up_unconfigured(row)
                _report_given_up(row.job_id, row.destination, row.last_error)

    def deliver_due(self) -> None:
        """Push whatever is due, to all destinations at the same time, once."""
        if not self._settings.destinations:
            return
        with ThreadPoolExecutor(len(self._settings.destinations)) as threads:
            list(threads.map(self.deliver_to, self._settings.destinations))

    def deliver_to(self, destination: Destination) -> None:
        """Push what is due to one destination, until one push finds nobody there."""
        with self._read_sessions() as session:
            due = outbox.due_deliveries(session, destination.name, self._clock(), PUSHES_A_ROUND)
        for delivery_id in due:
            claim = self._claim(delivery_id, destination)
            if claim is not None and not self._deliver(claim, destination):
                return

    def run(self, stop: Event) -> None:
        """Plan and deliver until told to stop; a push under way is finished."""
        threads = [
            Thread(target=self._run_destination, args=(destination, stop), name=f"deliver-{destination.name}")
            for destination in self._settings.destinations
        ]
        threads += [
            Thread(target=self._repeat, args=(step, name, stop), name=name)
            for name, step in self._further.items()
        ]
        for thread in threads:
            thread.start()
        self._repeat(self._keep_outbox, "keep outbox", stop)
        for thread in threads:
            thread.join()

    def _plan(self, job_id: str) -> None:
        with self._sessions.begin() as session:
            outbox.plan_job(session, job_id, self._names, self._clock())

    def _plan_notice(self, job_id: str) -> None:
        with self._sessions.begin() as session:
            outbox.plan_notice(session, job_id, self._notified, self._clock())

    def _keep_outbox(self) -> None:
        self.plan()
        self.plan_notices()
        self.give_up_unconfigured()

    def _run_destination(self, destination: Destination, stop: Event) -> None:
        step = f"deliver to {destination.name}"
        self._repeat(partial(self.deliver_to, destination), step, stop)

    def _repeat(self, step: Callable[[], object], name: str, stop: Event) -> None:
        """Run a step again and again; one that fails ends neither its thread nor the others."""
        while not stop.is_set():
            _succeeds(step, name)
            stop.wait(self._settings.poll_interval_s)

    def _claim(self, delivery_id: int, destination: Destination) -> Claim | None:
        """Take a delivery for as long as the push can take at worst."""
        now = self._clock()
        objects = max(len(with_fallbacks(destination.objects)), 1)  # a notice is one object
        with self._sessions.begin() as session:
            size_bytes = outbox.size_of(session, delivery_id)
            held_s = longest_push_s(objects, size_bytes, self._caller) + CLAIM_MARGIN_S
            return outbox.claim(session, delivery_id, now=now, held_until=now + timedelta(seconds=held_s))

    def _deliver(self, claim: Claim, destination: Destination) -> bool:
        """Make one attempt and record it; return False when the peer cannot be reached."""
        try:
            report = self._push(self._load(claim, destination), destination)
        except Defect as error:
            report = PushReport(Verdict.REFUSED, f"Defect: {error}")
        except Transient as error:
            report = PushReport(Verdict.RETRY, str(error))
        except Exception as error:  # noqa: BLE001 - unforeseen: tried again, until its time is over
            logger().exception("a push failed unexpectedly", job_id=claim.job_id)
            report = PushReport(Verdict.RETRY, f"the push failed unexpectedly ({type(error).__name__})")
        try:
            self._record(claim, report)
        except LeaseLost as error:
            logger().warning("a delivery was taken over", job_id=claim.job_id, error=str(error))
        return report.reachable

    def _load(self, claim: Claim, destination: Destination) -> Parcel:
        with self._read_sessions() as session:
            return load_parcel(session, self._store, claim.job_id, destination)

    def _push(self, parcel: Parcel, destination: Destination) -> PushReport:
        if not parcel.wanted:
            return PushReport(Verdict.STORED, "")
        self._audit.begins(destination, parcel.study, parcel.wanted)
        report = send(parcel, destination, self._caller)
        self._audit.ended(destination, parcel.study, parcel.wanted, report)
        return report

    def _record(self, claim: Claim, report: PushReport) -> None:
        if report.verdict is Verdict.STORED:
            with self._sessions.begin() as session:
                outbox.record_delivered(session, claim, self._clock(), report.remark)
            logger().info(
                "delivered", job_id=claim.job_id, destination=claim.destination, remark=report.remark
            )
        elif report.verdict is Verdict.RETRY and not self._expired(claim):
            self._postpone(claim, report)
        else:
            with self._sessions.begin() as session:
                outbox.record_given_up(session, claim, report.message)
            _report_given_up(claim.job_id, claim.destination, report.message)

    def _postpone(self, claim: Claim, report: PushReport) -> None:
        pause_s = max(self.pause_s(claim.attempt), report.retry_after_s)
        next_try_at = self._clock() + timedelta(seconds=pause_s)
        with self._sessions.begin() as session:
            outbox.record_postponed(session, claim, report.message, next_try_at)
            if not report.reachable:
                outbox.hold_back(session, claim.destination, next_try_at)
        logger().warning(
            "delivery postponed",
            job_id=claim.job_id,
            destination=claim.destination,
            attempt=claim.attempt,
            error=report.message,
        )

    def pause_s(self, attempt: int) -> float:
        """Return the pause after a failed attempt (1 for the first), in seconds."""
        return self._backoff.pause_s(attempt)

    def _expired(self, claim: Claim) -> bool:
        return self._clock() - claim.created_at >= timedelta(seconds=self._settings.retry_for_s)


def caller_of(settings: DeliverySettings, tls: ssl.SSLContext | None) -> Caller:
    """Return who opens our associations."""
    return Caller(settings.ae_title, settings.timeout_s, settings.slowest_bytes_per_s, tls)


def send(parcel: Parcel, destination: Destination, caller: Caller) -> PushReport:
    """Push a parcel in the way its destination takes it."""
    if isinstance(destination, WebDestination):
        return stow(parcel.wanted, destination, caller, parcel.spare)
    if isinstance(destination, DicomDestination):
        return push(parcel.wanted, destination, caller, parcel.spare)
    raise TypeError(f"{type(destination).__name__} is neither a DICOM nor a DICOMweb destination")


def _succeeds(step: Callable[[], object], name: str, **facts: str) -> bool:
    """Run a step; one that fails is logged and counted."""
    try:
        step()
    except Exception:  # noqa: BLE001 - delivery outlives a lost database and an unforeseen job
        COURIER_ERRORS.labels(name).inc()
        logger().exception("a delivery step failed", step=name, **facts)
        return False
    return True


def _report_given_up(job_id: str, destination: str, error: str) -> None:
    logger().error("delivery given up", job_id=job_id, destination=destination, error=error)
