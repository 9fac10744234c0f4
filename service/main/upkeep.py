"""Composition of the upkeep role: retention, conditions, and the audit trail on its way out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx

from core.audit import Audit
from core.clock import utc_now
from core.destinations import DicomDestination
from core.logs import configure_logs
from core.settings import (
    ApiSettings,
    AuditSettings,
    CommonSettings,
    DeliverySettings,
    ReceiverSettings,
    TlsSettings,
    UpkeepSettings,
    load,
)
from core.signals import stop_on_signals
from core.tls import requestor_context
from service.alerts import WEBHOOK_TIMEOUT_S, Webhook
from service.audit.sending import AuditSender
from service.audit.trail import AuditTrail
from service.delivery.association import Caller
from service.delivery.push import push
from service.main.parts import Parts, audited, open_audit, open_parts
from service.upkeep.canary import KEY, Canary, Pace
from service.upkeep.canary_study import load_canary
from service.upkeep.condition_checks import Thresholds, Watch
from service.upkeep.conditions import Check, Conditions
from service.upkeep.retention import Retention
from service.upkeep.steps import Step, repeat


@dataclass(frozen=True, slots=True)
class UpkeepRoleSettings:
    """Every setting that the upkeep role reads."""

    common: CommonSettings
    upkeep: UpkeepSettings
    delivery: DeliverySettings
    audit: AuditSettings
    receiver: ReceiverSettings
    tls: TlsSettings
    api: ApiSettings


def load_upkeep_settings(common: CommonSettings) -> UpkeepRoleSettings:
    """Read every setting of the role."""
    return UpkeepRoleSettings(
        common,
        load(UpkeepSettings),
        load(DeliverySettings),
        load(AuditSettings),
        load(ReceiverSettings),
        load(TlsSettings),
        load(ApiSettings),
    )


def run_upkeep(settings: UpkeepRoleSettings, stop: threading.Event | None = None) -> None:
    """Do what is to be done regularly until ``stop`` is set (default: SIGTERM, SIGINT)."""
    configure_logs(settings.common, "upkeep")
    stop = stop or stop_on_signals()
    parts = open_parts(settings.common)
    with (
        httpx.Client(timeout=WEBHOOK_TIMEOUT_S) as http,
        audited(parts, settings.audit, "upkeep") as audit,
    ):
        repeat(open_steps(parts, settings, audit, http), settings.upkeep.poll_interval_s, stop)


def open_steps(
    parts: Parts, settings: UpkeepRoleSettings, audit: AuditTrail, http: httpx.Client
) -> list[Step]:
    """Build what is done each round; what the settings leave out is not among it."""
    sender = AuditSender(settings.audit, parts.sessions, parts.read_sessions, utc_now)
    steps = [
        Step("take up waiting audit events", audit.catch_up),
        Step("send the audit trail", lambda: _exhaust(sender)),
    ]
    if settings.upkeep.keep_days:
        retention = open_retention(parts, settings.delivery, audit)
        steps.append(Step("purge", lambda: retention.purge_due(settings.upkeep.keep_days)))
    checks = open_watch(parts, settings).checks()
    if settings.upkeep.canary_study is not None:
        canary = open_canary(parts, settings, settings.upkeep.canary_study, audit)
        checks.append(Check(KEY, canary.look))
        steps.append(Step("canary", canary.send_due))
    conditions = open_conditions(parts, settings, http, checks)
    return [*steps, Step("look for conditions", conditions.look)]


def open_watch(parts: Parts, settings: UpkeepRoleSettings) -> Watch:
    """Build what looks at the installation."""
    own = settings.upkeep
    return Watch(
        parts.read_sessions,
        parts.store,
        utc_now,
        Thresholds(
            free_bytes=max(own.disk_warning_bytes, settings.receiver.minimum_free_bytes),
            destination_failing_s=own.destination_failing_s,
            job_waiting_s=own.job_waiting_s,
            audit_unsent_s=own.audit_unsent_s,
            certificate_days=own.certificate_days,
        ),
        certificates=_certificates(settings),
        audit_is_sent=bool(settings.audit.repository_host),
    )


def open_canary(parts: Parts, settings: UpkeepRoleSettings, folder: Path, audit: Audit) -> Canary:
    """Build the canary.

    Raises
    ------
    InvalidInput
        Its folder, or the settings of TLS, cannot be used.
    """
    own = settings.upkeep
    peer = DicomDestination(
        name="receiver",
        ae_title=own.canary_called_ae_title,
        host=own.canary_host,
        port=own.canary_port,
        tls=own.canary_tls,
    )
    tls = requestor_context(settings.tls) if own.canary_tls else None
    caller = Caller(own.canary_ae_title, settings.delivery.timeout_s, tls=tls)
    return Canary(
        load_canary(folder),
        partial(push, peer=peer, caller=caller),
        open_retention(parts, settings.delivery, audit),
        parts.sessions,
        parts.read_sessions,
        parts.store,
        utc_now,
        Pace(own.canary_interval_s, own.canary_late_s),
        new_token=lambda: uuid4().hex,
    )


def open_conditions(
    parts: Parts, settings: UpkeepRoleSettings, http: httpx.Client, checks: Sequence[Check]
) -> Conditions:
    """Build what keeps the conditions and tells about them."""
    webhook = Webhook(settings.common.alert_webhook_url, http, utc_now)
    repeat_s = settings.upkeep.condition_repeat_s
    return Conditions(parts.sessions, parts.read_sessions, webhook, utc_now, checks, repeat_s)


def _certificates(settings: UpkeepRoleSettings) -> tuple[tuple[str, Path], ...]:
    """Return our own certificates that are configured, by what they are for."""
    configured = {
        "dicom": settings.tls.certificate,
        "api": settings.api.certificate,
        "audit": settings.audit.certificate,
    }
    return tuple((purpose, path) for purpose, path in configured.items() if path is not None)


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
