"""Notices on their way: to those that want them, once, whatever destinations come later."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.uid import ComprehensiveSRStorage

from core.database import JobRow
from core.errors import InvalidInput
from core.job import JobState
from core.notice_records import NoticeState
from service.delivery import outbox
from service.delivery.outbox import DeliveryState
from tests.service.delivery_desk import courier, destination, only_delivery
from tests.service.service_records import MovedClock, Records
from tests.service.storage_peers import OVERVIEW, free_port, storage_peer


@pytest.fixture
def records(tmp_path: Path) -> Records:
    records = Records(tmp_path)
    records.add_job(state=JobState.UNSUITABLE, reason="no_post_contrast")
    return records


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


def test_a_notice_arrives_and_its_job_stays_unsuitable(records: Records, clock: MovedClock) -> None:
    records.add_notice()
    with storage_peer([OVERVIEW]) as peer:
        present = courier(records, clock, destination(peer.port))
        assert (present.plan_notices(), present.plan_notices()) == (1, 0)
        present.deliver_due()
    assert [sop_class for sop_class, _ in peer.received] == [OVERVIEW]
    job = records.job()
    assert job.state == JobState.UNSUITABLE
    assert only_delivery(job).state == DeliveryState.DELIVERED


def test_a_planning_system_is_not_told(records: Records, clock: MovedClock) -> None:
    records.add_notice()
    tps, pacs = destination(free_port(), "tps", profile="gammaplan"), destination(free_port(), "pacs")
    courier(records, clock, tps, pacs).plan_notices()
    assert [delivery.destination for delivery in records.job().deliveries] == ["pacs"]


def test_a_destination_that_comes_later_gets_no_old_notices(records: Records, clock: MovedClock) -> None:
    records.add_notice()
    assert courier(records, clock).plan_notices() == 1
    assert courier(records, clock, destination(free_port(), "new")).plan_notices() == 0
    assert records.job().deliveries == []


@pytest.mark.parametrize("state", [NoticeState.DUE, NoticeState.FAILED, NoticeState.OVERTAKEN])
def test_only_a_made_notice_is_planned(records: Records, clock: MovedClock, state: NoticeState) -> None:
    records.add_notice(state=state)
    assert courier(records, clock, destination(free_port())).plan_notices() == 0


def test_a_notice_overtaken_by_a_newer_revision_is_not_sent(records: Records, clock: MovedClock) -> None:
    records.add_notice()
    records.add_job("job-2", revision=2)
    courier(records, clock, destination(free_port())).plan_notices()
    assert records.job().deliveries == []
    with records.sessions.begin() as session:
        assert session.get_one(JobRow, "job-1").notice.state == NoticeState.OVERTAKEN


def test_a_peer_that_cannot_show_a_notice_is_named(records: Records, clock: MovedClock) -> None:
    records.add_notice()
    with storage_peer([ComprehensiveSRStorage]) as peer:
        present = courier(records, clock, destination(peer.port))
        present.plan_notices()
        present.deliver_due()
    delivery = only_delivery(records.job())
    assert delivery.state == DeliveryState.GIVEN_UP
    assert "notice: presentation context not accepted" in delivery.last_error


def test_somebody_may_ask_for_a_notice_again(records: Records, clock: MovedClock) -> None:
    records.add_notice()
    with records.sessions.begin() as session:
        row = outbox.redeliver(session, "job-1", "pacs", destinations=["pacs"], now=clock.now)
        assert row.state == DeliveryState.PENDING


def test_an_unsuitable_job_without_a_notice_has_nothing_to_send(records: Records, clock: MovedClock) -> None:
    with records.sessions.begin() as session, pytest.raises(InvalidInput, match="something to send"):
        outbox.redeliver(session, "job-1", "pacs", destinations=["pacs"], now=clock.now)
