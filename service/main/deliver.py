"""Composition of the delivery role: results to their destinations, and what those commit to keep."""

from __future__ import annotations

import random
import ssl
import threading
from dataclasses import dataclass
from uuid import uuid4

from core.audit import Audit
from core.clock import utc_now
from core.destinations import DicomDestination
from core.logs import configure_logs
from core.settings import AuditSettings, CommonSettings, DeliverySettings, TlsSettings
from core.signals import stop_on_signals
from core.tls import requestor_context
from service.delivery.backoff import Backoff
from service.delivery.commitment import CommitmentAnswers, CommitmentRequester
from service.delivery.courier import Courier, caller_of
from service.main.parts import Parts, audited, open_parts


@dataclass(frozen=True, slots=True)
class DeliverRoleSettings:
    """Every setting that the delivery role reads."""

    common: CommonSettings
    delivery: DeliverySettings
    tls: TlsSettings
    audit: AuditSettings


def run_delivery(settings: DeliverRoleSettings, stop: threading.Event | None = None) -> None:
    """Push results to the destinations until ``stop`` is set (default: SIGTERM, SIGINT).

    Raises
    ------
    InvalidInput
        A destination wants TLS, and the settings of TLS cannot be used.
    """
    configure_logs(settings.common, "delivery")
    stop = stop or stop_on_signals()
    parts = open_parts(settings.common)
    with audited(parts, settings.audit, "deliver") as audit:
        open_courier(parts, settings, audit).run(stop)


def open_courier(parts: Parts, settings: DeliverRoleSettings, audit: Audit) -> Courier:
    """Put the courier together, with what asks for storage commitment beside it."""
    tls = _tls(settings)
    requester = CommitmentRequester(
        sessions=parts.sessions,
        read_sessions=parts.read_sessions,
        store=parts.store,
        settings=settings.delivery,
        caller=caller_of(settings.delivery, tls),
        answers=CommitmentAnswers(parts.sessions, utc_now, settings.delivery.commitment_tries),
        clock=utc_now,
        backoff=Backoff(settings.delivery.retry_first_s, settings.delivery.retry_longest_s, random.random),
        new_uid=lambda: f"2.25.{uuid4().int}",
    )
    return Courier(
        sessions=parts.sessions,
        read_sessions=parts.read_sessions,
        store=parts.store,
        settings=settings.delivery,
        clock=utc_now,
        jitter=random.random,
        audit=audit,
        tls=tls,
        further={"request commitment": requester.request_due},
    )


def _tls(settings: DeliverRoleSettings) -> ssl.SSLContext | None:
    wanted = any(isinstance(d, DicomDestination) and d.tls for d in settings.delivery.destinations)
    return requestor_context(settings.tls) if wanted else None
