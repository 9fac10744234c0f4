"""A study that cannot be analysed, from its arrival to the picture in the PACS that says why."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.filereader import read_dataset

from core.database import JobRow
from core.job import JobState
from core.lesion import ModelIdentity
from core.settings import DeliverySettings
from service.delivery.courier import Courier
from service.delivery.outbox import DeliveryState
from tests.mr_headers import ct_series
from tests.service.coordinator_desk import INCOMPLETE_QUIET_S, Desk, open_desk
from tests.service.delivery_desk import destination
from tests.service.storage_peers import OVERVIEW, storage_peer
from worker.encoding.codes import DEFAULT_SITE_CODES
from worker.notices import NoticeOffice


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    yield from open_desk(tmp_path)


def office(desk: Desk) -> NoticeOffice:
    return NoticeOffice(
        sessions=desk.site.sessions,
        store=desk.site.store,
        clock=desk.site.clock,
        model=ModelIdentity("set", "1", "d" * 64, "full"),
        software_version="0.1.0",
        codes=DEFAULT_SITE_CODES,
        lease_s=60,
    )


def deliver(desk: Desk, port: int) -> None:
    courier = Courier(
        sessions=desk.site.sessions,
        read_sessions=desk.site.read_sessions,
        store=desk.site.store,
        settings=DeliverySettings(destinations=(destination(port),), timeout_s=5),
        clock=desk.site.clock,
        jitter=lambda: 0.0,
    )
    courier.plan_notices()
    courier.deliver_due()


def test_a_study_without_mr_comes_back_as_a_picture_that_says_so(desk: Desk) -> None:
    sources = ct_series(slices=2)
    desk.site.receive(*sources)
    desk.after(INCOMPLETE_QUIET_S).coordinator.ring_for_notices()
    for task, job_id in desk.rings():
        assert task == "metserve.notice"
        office(desk).run(job_id)
    with storage_peer([OVERVIEW]) as peer:
        deliver(desk, peer.port)
    arrived = read(peer.bytes_by_class[OVERVIEW])
    assert arrived.StudyInstanceUID == sources[0].StudyInstanceUID
    assert arrived.PatientID == sources[0].PatientID
    with desk.site.read_sessions() as session:
        job = session.get_one(JobRow, "job-1")
        assert job.state == JobState.UNSUITABLE
        assert [delivery.state for delivery in job.deliveries] == [DeliveryState.DELIVERED]


def read(encoded: bytes) -> Dataset:
    return read_dataset(BytesIO(encoded), is_implicit_VR=False, is_little_endian=True)
