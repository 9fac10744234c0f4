"""A coordinator with its database, its broker and its alerts, in a folder."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx
from celery import Celery
from prometheus_client import CollectorRegistry
from pydicom import Dataset
from sqlalchemy import select

from core.broker import open_broker
from core.database import JobRow
from core.settings import AssemblySettings, CommonSettings
from service.alerts import Alerts
from service.jobs import Coordinator
from tests.mr_headers import SIEMENS_MPRAGE, series
from tests.service.reception_site import Site, open_site

QUIET_S, INCOMPLETE_QUIET_S, REQUEUE_AFTER_S = 20, 300, 60


@dataclass
class Desk:
    """A coordinator and what it works with."""

    site: Site
    coordinator: Coordinator
    messages: Path
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def jobs(self) -> list[JobRow]:
        with self.site.read_sessions() as session:
            return list(session.scalars(select(JobRow).order_by(JobRow.revision)))

    def job(self) -> JobRow:
        (only,) = self.jobs()
        return only

    def rings(self) -> list[tuple[str, str]]:
        """(task, job id) of each message that lies in the queue, oldest first."""
        bodies = [json.loads(path.read_text()) for path in sorted(self.messages.glob("*.msg"))]
        return [(body["headers"]["task"], argument_of(body)) for body in bodies]

    def after(self, seconds: float) -> Desk:
        self.site.clock.advance(seconds)
        self.coordinator.assemble_due()
        return self


def argument_of(body: dict[str, str]) -> str:
    (arguments, _, _) = json.loads(base64.b64decode(body["body"]))
    return str(arguments[0])


def open_desk(folder: Path, webhook_url: str = "", broker: Celery | None = None) -> Iterator[Desk]:
    site = open_site(folder)
    registry = CollectorRegistry()
    numbers = count(1)
    with httpx.Client() as http:
        coordinator = Coordinator(
            site.sessions,
            site.read_sessions,
            broker or open_broker(CommonSettings(data_dir=folder)),
            site.store,
            AssemblySettings(
                quiet_period_s=QUIET_S,
                incomplete_quiet_period_s=INCOMPLETE_QUIET_S,
                requeue_after_s=REQUEUE_AFTER_S,
                poll_interval_s=0.01,
            ),
            site.clock,
            new_job_id=lambda: f"job-{next(numbers)}",
            alerts=Alerts(site.sessions, site.read_sessions, webhook_url, http, site.clock, registry),
        )
        yield Desk(site, coordinator, folder / "broker" / "messages", registry)


def both_roles() -> list[Dataset]:
    return [*series(1, "t1", SIEMENS_MPRAGE, slices=20), *post()]


def post(number: int = 2) -> list[Dataset]:
    return series(number, "t1 KM", SIEMENS_MPRAGE, slices=20)
