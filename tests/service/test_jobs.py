from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count
from pathlib import Path

import httpx
import pytest
from celery import Celery
from prometheus_client import CollectorRegistry
from pydicom import Dataset
from sqlalchemy import event, select, update

from core import job_records
from core.broker import open_broker
from core.database import DeliveryRow, JobRow, StudyRow
from core.errors import InvalidInput, UnsuitableReason
from core.job import JobState, Outcome, Stage
from core.job_records import SELECTION
from core.settings import AssemblySettings, CommonSettings
from core.study import SeriesRole
from service.alerts import WEBHOOK_PAUSE_S, Alerts
from service.jobs import WORK_KEPT_S, Coordinator, request_analysis
from tests.mr_headers import SIEMENS_MPRAGE, STUDY_UID, ct_series, own_segmentation, series
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


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    yield from open_desk(tmp_path)


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


def test_a_complete_study_becomes_a_job_after_the_quiet_period(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    assert desk.after(QUIET_S - 1).jobs() == []
    job = desk.after(1).job()
    assert (job.id, job.state, job.revision) == ("job-1", JobState.QUEUED, 1)
    selection = SELECTION.validate_python(job.selection)
    assert {selected.role for selected in selection.selected} == set(SeriesRole)
    assert not desk.site.study().awaits_assembly
    assert len(desk.after(1000).jobs()) == 1


def test_an_incomplete_study_waits_longer(desk: Desk) -> None:
    desk.site.receive(*post())
    assert desk.after(INCOMPLETE_QUIET_S - 1).jobs() == []
    assert desk.after(1).job().selection["mode"] == "t1_post_only"


def test_each_new_instance_starts_the_quiet_period_again(desk: Desk) -> None:
    *most, last = both_roles()
    desk.site.receive(*most)
    assert desk.after(QUIET_S).jobs() == []
    desk.site.receive(last)
    assert desk.after(QUIET_S - 1).jobs() == []
    assert len(desk.after(1).jobs()) == 1


def test_a_study_without_mr_ends_as_unsuitable(desk: Desk) -> None:
    desk.site.receive(*ct_series(slices=2))
    job = desk.after(INCOMPLETE_QUIET_S).job()
    assert (job.state, job.outcome) == (JobState.UNSUITABLE, Outcome.UNSUITABLE)
    assert job.reason == UnsuitableReason.NO_MR_SERIES
    assert "CT" in job.message
    assert job.finished_at == desk.site.clock.now
    assert len(SELECTION.validate_python(job.selection).verdicts) == 1


def test_late_slices_make_a_new_revision_that_supersedes_the_old_one(desk: Desk) -> None:
    desk.site.receive(*post())
    desk.after(INCOMPLETE_QUIET_S)
    desk.site.receive(*series(1, "t1", SIEMENS_MPRAGE, slices=20))
    old, new = desk.after(QUIET_S).jobs()
    assert (old.state, new.state, new.revision) == (JobState.SUPERSEDED, JobState.QUEUED, 2)


def test_a_late_object_that_changes_nothing_makes_no_new_revision(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    desk.after(QUIET_S)
    desk.site.receive(own_segmentation())
    assert desk.site.study().awaits_assembly
    assert desk.after(INCOMPLETE_QUIET_S).job().state == JobState.QUEUED
    assert not desk.site.study().awaits_assembly


def test_a_request_does_not_wait(desk: Desk) -> None:
    desk.site.receive(*post())
    with desk.site.sessions.begin() as session:
        request_analysis(session, STUDY_UID, desk.site.clock.now)
    assert desk.after(0).job().state == JobState.QUEUED
    assert desk.site.study().analysis_requested_at is None


def test_a_request_analyses_the_same_instances_again(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    desk.after(QUIET_S)
    with desk.site.sessions.begin() as session:
        request_analysis(session, STUDY_UID, desk.site.clock.now)
    assert [job.revision for job in desk.after(0).jobs()] == [1, 2]


def test_a_request_for_an_unknown_study_is_refused(desk: Desk) -> None:
    with desk.site.sessions.begin() as session, pytest.raises(InvalidInput, match="no instance"):
        request_analysis(session, "1.2.3", desk.site.clock.now)


def test_an_instance_that_arrives_during_assembly_is_not_forgotten(desk: Desk) -> None:
    *most, last = both_roles()
    desk.site.receive(*most)
    desk.site.clock.advance(INCOMPLETE_QUIET_S)
    with desk.site.sessions.begin() as session:
        session.execute(update(StudyRow).values(last_received_at=desk.site.clock.now))
    arrived = arrive_before_the_next_write(desk, last)
    desk.after(INCOMPLETE_QUIET_S)
    assert arrived
    assert desk.jobs() == []
    assert desk.site.study().awaits_assembly
    uids = SELECTION.validate_python(desk.after(QUIET_S).job().selection).selected[1].sop_instance_uids
    assert last.SOPInstanceUID in uids


def arrive_before_the_next_write(desk: Desk, dataset: Dataset) -> list[Dataset]:
    """Receive a dataset at the moment the coordinator begins to write, at the same clock tick."""
    arrived: list[Dataset] = []
    engine = desk.site.sessions.kw["bind"]

    def receive(_connection: object) -> None:
        if not arrived:
            arrived.append(dataset)
            worker = threading.Thread(target=desk.site.receive, args=(dataset,))
            worker.start()
            worker.join()

    event.listen(engine, "begin", receive, insert=True)
    return arrived


def test_a_new_job_is_rung_once(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    desk.after(QUIET_S)
    desk.coordinator.requeue()
    desk.coordinator.requeue()
    assert desk.rings() == [("metserve.prepare", "job-1")]
    assert desk.job().enqueued_at == desk.site.clock.now


def test_a_job_nobody_took_is_rung_again(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    desk.after(QUIET_S).coordinator.requeue()
    desk.after(REQUEUE_AFTER_S + 1).coordinator.requeue()
    assert len(desk.rings()) == 2


def test_a_job_whose_worker_died_is_rung_again_once(desk: Desk) -> None:
    desk.site.receive(*both_roles())
    desk.after(QUIET_S).coordinator.requeue()
    with desk.site.sessions.begin() as session:
        lease = job_records.claim(
            session, "job-1", Stage.PREPARE, owner="w", lease_s=30, now=desk.site.clock.now
        )
    assert lease is not None
    desk.after(29).coordinator.requeue()
    assert len(desk.rings()) == 1
    for _ in range(3):
        desk.after(2).coordinator.requeue()
    assert len(desk.rings()) == 2


def test_a_broker_that_is_down_delays_the_ring_and_nothing_else(tmp_path: Path) -> None:
    broker = open_broker(CommonSettings(data_dir=tmp_path))
    (desk,) = [*open_desk(tmp_path, broker=broker)]
    desk.site.receive(*both_roles())
    desk.after(QUIET_S)
    desk.messages.rename(desk.messages.with_name("away"))
    desk.coordinator.requeue()
    assert desk.job().enqueued_at is None
    desk.messages.with_name("away").rename(desk.messages)
    desk.coordinator.requeue()
    assert desk.rings() == [("metserve.prepare", "job-1")]


def test_the_work_of_a_superseded_job_is_removed_once_no_worker_can_still_write_it(desk: Desk) -> None:
    desk.site.receive(*post())
    desk.after(INCOMPLETE_QUIET_S)
    desk.site.receive(*series(1, "t1", SIEMENS_MPRAGE, slices=20))
    desk.after(QUIET_S)
    old, new = (desk.site.store.work_folder(job.id, 1) for job in desk.jobs())
    desk.coordinator.discard_work()
    assert old.exists()
    desk.after(WORK_KEPT_S + 1).coordinator.discard_work()
    assert not old.parent.exists()
    assert new.exists()


def test_work_of_a_job_the_database_does_not_know_is_left_alone(desk: Desk) -> None:
    folder = desk.site.store.work_folder("of-another-database", 1)
    desk.after(WORK_KEPT_S + 1).coordinator.discard_work()
    assert folder.exists()


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


def test_the_loop_goes_on_after_a_step_that_fails(desk: Desk) -> None:
    stop = threading.Event()
    failures = iter([RuntimeError("the database is gone")])

    def assemble_due() -> None:
        for failure in failures:
            raise failure
        stop.set()

    desk.coordinator.assemble_due = assemble_due  # type: ignore[method-assign]
    desk.coordinator.run(stop)
    assert next(failures, None) is None
    assert stop.is_set()
