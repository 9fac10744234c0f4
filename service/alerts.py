"""Telling somebody that a job was parked, a delivery or a notice given up: log, metric, webhook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import httpx
from prometheus_client import CollectorRegistry, Counter
from sqlalchemy import select, update
from sqlalchemy.orm import joinedload

from core.clock import Clock
from core.database import DeliveryRow, JobRow, NoticeRow, Sessions
from core.job import JobState
from core.logs import logger
from core.notice_records import NoticeState

WEBHOOK_TIMEOUT_S = 5.0
"""An alert must not keep the coordinator from its studies."""

WEBHOOK_PAUSE_S = 60.0
"""After a failed call the webhook is left alone for so long."""

ALERTS_AT_ONCE = 20
"""Alerts one round tells about."""


_Row = JobRow | DeliveryRow | NoticeRow


@dataclass(frozen=True, slots=True)
class Alert:
    """What somebody should look at; holds no patient data.

    Parameters
    ----------
    kind
        ``job_parked``, ``delivery_given_up`` or ``notice_failed``.
    reason
        Class of the error, the destination's name, or why there was to be a notice.
    """

    kind: str
    job_id: str
    reason: str


class Webhook:
    """Where somebody is told; after a failed call it is left alone for a while.

    Parameters
    ----------
    url
        Receives a JSON POST for each message; empty: nobody is told this way.
    """

    def __init__(self, url: str, http: httpx.Client, clock: Clock) -> None:
        self._url = url
        self._http = http
        self._clock = clock
        self._rests_until: datetime | None = None

    def tell(self, message: Mapping[str, str]) -> bool:
        """Send a message; True when somebody was told, or nobody is to be."""
        if not self._url:
            return True
        now = self._clock()
        if self._rests_until is not None and now < self._rests_until:
            return False
        try:
            self._http.post(self._url, json=dict(message), timeout=WEBHOOK_TIMEOUT_S).raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._rests_until = now + timedelta(seconds=WEBHOOK_PAUSE_S)
            logger().warning("alert webhook failed; tried again later", error=type(error).__name__)
            return False
        return True


class Alerts:
    """Tells about each parked job, each given-up delivery and each failed notice once.

    Parameters
    ----------
    webhook_url
        Receives a JSON POST for each; empty: log and metric only.
    registry
        Where the metric is.
    """

    def __init__(
        self,
        sessions: Sessions,
        read_sessions: Sessions,
        webhook_url: str,
        http: httpx.Client,
        clock: Clock,
        registry: CollectorRegistry,
    ) -> None:
        self._sessions = sessions
        self._read_sessions = read_sessions
        self._webhook = Webhook(webhook_url, http, clock)
        self._clock = clock
        self._counter = Counter(
            "metserve_alerts",
            "Jobs, deliveries and notices given up.",
            ["kind"],
            registry=registry,
        )
        self._errors = Counter("metserve_alert_errors", "Alerts that failed.", registry=registry)
        self._logged: set[tuple[str, int | str]] = set()

    def raise_due(self) -> None:
        """Tell about what nobody was told yet; a failed webhook is tried again later."""
        for row in self._untold():
            try:
                self._raise(row)
            except Exception:  # noqa: BLE001 - an alert that cannot be raised must not hide the others
                self._errors.inc()
                logger().exception("an alert failed", **asdict(_alert_of(row)))

    def _raise(self, row: _Row) -> None:
        alert = _alert_of(row)
        self._log_once(alert, row)
        if self._webhook.tell(asdict(alert)):
            self._mark_told(row)

    def _untold(self) -> list[_Row]:
        parked = select(JobRow).where(JobRow.state == JobState.PARKED, JobRow.alerted_at.is_(None))
        given_up = select(DeliveryRow).where(
            DeliveryRow.state == "given_up", DeliveryRow.alerted_at.is_(None)
        )
        failed = (
            select(NoticeRow)
            .where(NoticeRow.state == NoticeState.FAILED, NoticeRow.alerted_at.is_(None))
            .options(joinedload(NoticeRow.job))
        )
        with self._read_sessions() as session:
            jobs = list(session.scalars(parked.limit(ALERTS_AT_ONCE)))
            deliveries = list(session.scalars(given_up.limit(ALERTS_AT_ONCE)))
            notices = list(session.scalars(failed.limit(ALERTS_AT_ONCE)))
        return [*jobs, *deliveries, *notices]

    def _log_once(self, alert: Alert, row: _Row) -> None:
        key = (alert.kind, row.id)
        if key not in self._logged:
            self._logged.add(key)
            self._counter.labels(alert.kind).inc()
            logger().error("somebody should look at this", **asdict(alert))

    def _mark_told(self, row: _Row) -> None:
        table = type(row)
        with self._sessions.begin() as session:
            session.execute(update(table).where(table.id == row.id).values(alerted_at=self._clock()))
        self._logged.discard((_alert_of(row).kind, row.id))


def _alert_of(row: _Row) -> Alert:
    if isinstance(row, JobRow):
        return Alert("job_parked", row.id, row.reason)
    if isinstance(row, NoticeRow):
        return Alert("notice_failed", row.job_id, row.job.reason)
    return Alert("delivery_given_up", row.job_id, row.destination)
