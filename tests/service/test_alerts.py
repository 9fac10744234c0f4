from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from sqlalchemy import select, update

from core.database import DeliveryRow, JobRow, NoticeRow
from core.job import JobState
from service.alerts import WEBHOOK_PAUSE_S
from tests.service.coordinator_desk import QUIET_S, Desk, both_roles, open_desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    yield from open_desk(tmp_path)


def park(desk: Desk) -> None:
    with desk.site.sessions.begin() as session:
        session.execute(update(JobRow).values(state=JobState.PARKED, reason="Defect", alerted_at=None))


def alerts_counted(desk: Desk, kind: str = "job_parked") -> float:
    return desk.registry.get_sample_value("metserve_alerts_total", {"kind": kind}) or 0.0


def test_a_parked_job_is_told_about_once(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    desk.after(QUIET_S)
    park(desk)
    desk.coordinator.raise_alerts()
    desk.coordinator.raise_alerts()
    assert desk.job().alerted_at == desk.site.clock.now
    assert alerts_counted(desk) == 1


def test_a_given_up_delivery_is_told_about(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    now = desk.after(QUIET_S).site.clock.now
    with desk.site.sessions.begin() as session:
        session.add(
            DeliveryRow(job_id="job-1", destination="pacs", state="given_up", next_try_at=now, created_at=now)
        )
    desk.coordinator.raise_alerts()
    assert alerts_counted(desk, "delivery_given_up") == 1


def test_a_notice_that_cannot_be_made_is_told_about_once(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    now = desk.after(QUIET_S).site.clock.now
    with desk.site.sessions.begin() as session:
        session.add(NoticeRow(job_id="job-1", state="failed", next_ring_at=now, created_at=now))
    desk.coordinator.raise_alerts()
    desk.coordinator.raise_alerts()
    assert alerts_counted(desk, "notice_failed") == 1


class Webhook(HTTPServer):
    """Remembers what it was told; answers ``status``."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _WebhookHandler)
        self.received: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _WebhookHandler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(json.loads(body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_webhook_that_fails_is_called_again_later(tmp_path: Path, webhook: Webhook) -> None:
    for desk in open_desk(tmp_path, webhook.url):
        desk.site.receive(*both_roles())
        desk.after(QUIET_S)
        park(desk)
        webhook.status = 500
        desk.coordinator.raise_alerts()
        desk.coordinator.raise_alerts()
        assert len(webhook.received) == 1
        assert desk.job().alerted_at is None
        webhook.status = 200
        desk.after(WEBHOOK_PAUSE_S).coordinator.raise_alerts()
        assert desk.job().alerted_at == desk.site.clock.now
        assert webhook.received[1] == {"kind": "job_parked", "job_id": "job-1", "reason": "Defect"}
        assert alerts_counted(desk) == 1


def test_an_alert_that_cannot_be_raised_hides_no_other(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    now = desk.after(QUIET_S).site.clock.now
    park(desk)
    with desk.site.sessions.begin() as session:
        session.add(
            DeliveryRow(job_id="job-1", destination="pacs", state="given_up", next_try_at=now, created_at=now)
        )
    refuse_changes_of_jobs(desk)
    desk.coordinator.raise_alerts()
    with desk.site.read_sessions() as session:
        assert session.scalars(select(DeliveryRow.alerted_at)).one() == now
    assert desk.job().alerted_at is None
    assert desk.registry.get_sample_value("metserve_alert_errors_total") == 1


def refuse_changes_of_jobs(desk: Desk) -> None:
    with desk.site.sessions.begin() as session:
        session.connection().exec_driver_sql(
            "CREATE TRIGGER refuse BEFORE UPDATE ON job BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
