"""Composition of the upkeep role: retention, and the audit trail on its way to its repository."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from core.audit import Audit
from core.clock import utc_now
from core.logs import configure_logs
from core.settings import AuditSettings, CommonSettings, DeliverySettings, UpkeepSettings
from core.signals import stop_on_signals
from service.audit.sending import AuditSender
from service.main.parts import Parts, audited, open_audit, open_parts
from service.upkeep.retention import Retention
from service.upkeep.steps import Step, repeat


@dataclass(frozen=True, slots=True)
class UpkeepRoleSettings:
    """Every setting that the upkeep role reads."""

    common: CommonSettings
    upkeep: UpkeepSettings
    delivery: DeliverySettings
    audit: AuditSettings


def run_upkeep(settings: UpkeepRoleSettings, stop: threading.Event | None = None) -> None:
    """Do what is to be done regularly until ``stop`` is set (default: SIGTERM, SIGINT)."""
    configure_logs(settings.common, "upkeep")
    stop = stop or stop_on_signals()
    parts = open_parts(settings.common)
    with audited(parts, settings.audit, "upkeep") as audit:
        sender = AuditSender(settings.audit, parts.sessions, parts.read_sessions, utc_now)
        steps = [
            Step("take up waiting audit events", audit.catch_up),
            Step("send the audit trail", lambda: _exhaust(sender)),
        ]
        if settings.upkeep.keep_days:
            retention = open_retention(parts, settings.delivery, audit)
            steps.append(Step("purge", lambda: retention.purge_due(settings.upkeep.keep_days)))
        repeat(steps, settings.upkeep.poll_interval_s, stop)


def open_retention(parts: Parts, delivery: DeliverySettings, audit: Audit) -> Retention:
    """Build retention; it knows which destinations have to commit themselves first."""
    committing = [destination.name for destination in delivery.destinations if destination.commits]
    return Retention(parts.sessions, parts.read_sessions, parts.store, utc_now, audit, committing)


def open_retention_by_hand(
    common: CommonSettings, delivery: DeliverySettings, audit: AuditSettings
) -> Retention:
    """Build retention for the command line."""
    parts = open_parts(common)
    return open_retention(parts, delivery, open_audit(parts, audit))


def _exhaust(sender: AuditSender) -> None:
    """Send batch after batch until everything is sent."""
    while sender.send_due():
        continue
