"""What may go, what must stay, and what a removal leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.audit import AuditKind
from core.database import DeliveryRow, InstanceRow, JobRow, LesionRow, SeriesRow, StudyRow
from core.job import JobState, Outcome
from core.notice_records import NoticeState
from service.upkeep.retention import Obstacle, Retention
from tests.service.collected_audit import CollectedAudit
from tests.service.service_records import NOON, STUDY_UID, MovedClock, Records

KEEP_DAYS = 30.0
LONG_AFTER_S = 31 * 86_400.0


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


@pytest.fixture
def audit() -> CollectedAudit:
    return CollectedAudit()


@pytest.fixture
def clock() -> MovedClock:
    clock = MovedClock()
    clock.advance(LONG_AFTER_S)
    return clock


@pytest.fixture
def retention(records: Records, clock: MovedClock, audit: CollectedAudit) -> Retention:
    return Retention(
        records.sessions, records.read_sessions, records.store, clock, audit, committing=["archive"]
    )


@pytest.fixture
def delivered(records: Records) -> Path:
    """A study with one image and results that arrived; return the image's file."""
    records.add_study(awaits_assembly=False, last_received_at=NOON)
    records.add_job(state=JobState.DELIVERED, outcome=Outcome.POSITIVE, finished_at=NOON)
    image = records.store.root / "instances" / "image.dcm"
    image.write_bytes(b"image")
    records.change(lambda session: _add_image(session, "instances/image.dcm"))
    records.change(lambda session: session.add(_delivery("pacs")))
    return image


def _add_image(session: Session, path: str) -> None:
    study = session.scalars(select(StudyRow)).one()
    series = SeriesRow(study_id=study.id, series_instance_uid="1.2.3")
    series.instances.append(
        InstanceRow(
            sop_instance_uid="1.2.3.4",
            sop_class_uid="1.2",
            transfer_syntax_uid="1.2",
            sha256="",
            size_bytes=5,
            path=path,
            header={},
            received_at=NOON,
        )
    )
    session.add(series)


def _delivery(destination: str, **fields: object) -> DeliveryRow:
    values = {"state": "delivered", "delivered_at": NOON, "next_try_at": NOON, "created_at": NOON}
    return DeliveryRow(job_id="job-1", destination=destination, **{**values, **fields})


def _lesion() -> LesionRow:
    centroid = {f"centroid_{axis}_lps_mm": 0.0 for axis in "xyz"}
    return LesionRow(job_id="job-1", number=1, tracking_uid="2.25.1", volume_mm3=10.0, **centroid)


def obstacle(retention: Retention) -> Obstacle | None:
    (candidate,) = retention.candidates(KEEP_DAYS)
    return candidate.obstacle


def test_a_study_that_was_delivered_long_ago_goes(
    retention: Retention, records: Records, delivered: Path, audit: CollectedAudit
) -> None:
    results = list((records.store.root / "results").rglob("*.dcm"))
    assert results
    assert retention.purge_due(KEEP_DAYS) == 1
    assert not delivered.exists()
    assert not any(path.exists() for path in results)
    (event,) = audit.of(AuditKind.STUDY_DELETED)
    assert event.studies[0].study_instance_uid == STUDY_UID


def test_what_is_known_of_its_lesions_stays_for_the_next_comparison(
    retention: Retention, records: Records, delivered: Path
) -> None:
    records.change(lambda session: session.add(_lesion()))
    with records.read_sessions() as session:
        before = list(session.scalars(select(LesionRow.tracking_uid)))
    retention.purge_due(KEEP_DAYS)
    with records.read_sessions() as session:
        assert list(session.scalars(select(LesionRow.tracking_uid))) == before != []
        study = session.scalars(select(StudyRow)).one()
        assert study.purged_at is not None
        assert study.patient_id
        assert list(session.scalars(select(InstanceRow))) == []
        assert session.scalars(select(JobRow)).one().results == {}


def _still_arriving(session: Session) -> None:
    session.scalars(select(StudyRow)).one().awaits_assembly = True


def _state(state: JobState) -> Callable[[Session], None]:
    def change(session: Session) -> None:
        session.scalars(select(JobRow)).one().state = state

    return change


def _given_up(session: Session) -> None:
    session.scalars(select(DeliveryRow)).one().state = "given_up"


def _uncommitted(session: Session) -> None:
    session.scalars(select(DeliveryRow)).one().destination = "archive"


def _recent(session: Session) -> None:
    session.scalars(select(DeliveryRow)).one().delivered_at = NOON + timedelta(days=20)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_still_arriving, Obstacle.STILL_ARRIVING),
        (_state(JobState.PARKED), Obstacle.UNFINISHED),
        (_state(JobState.INFERRING), Obstacle.UNFINISHED),
        (_state(JobState.ENCODED), Obstacle.UNFINISHED),
        (_given_up, Obstacle.UNDELIVERED),
        (_uncommitted, Obstacle.UNCOMMITTED),
        (_recent, Obstacle.TOO_YOUNG),
    ],
    ids=["arriving", "parked", "inferring", "encoded", "given up", "uncommitted", "recent"],
)
def test_what_is_still_needed_stays(
    retention: Retention,
    records: Records,
    delivered: Path,
    change: Callable[[Session], None],
    expected: Obstacle,
) -> None:
    records.change(change)
    assert obstacle(retention) is expected
    assert retention.purge_due(KEEP_DAYS) == 0
    assert delivered.exists()


def test_a_committed_study_goes(retention: Retention, records: Records, delivered: Path) -> None:
    def commit(session: Session) -> None:
        delivery = session.scalars(select(DeliveryRow)).one()
        delivery.destination, delivery.committed_at = "archive", NOON

    records.change(commit)
    assert obstacle(retention) is None


def test_an_unsuitable_study_waits_for_its_notice(retention: Retention, records: Records) -> None:
    records.add_study(awaits_assembly=False, last_received_at=NOON)
    records.add_job(state=JobState.UNSUITABLE, outcome=Outcome.UNSUITABLE, finished_at=NOON)
    records.add_notice(state=NoticeState.MADE)
    assert obstacle(retention) is Obstacle.UNFINISHED


def test_a_purge_that_was_cut_short_is_finished(
    retention: Retention, records: Records, delivered: Path, clock: MovedClock
) -> None:
    def mark(session: Session) -> None:
        session.scalars(select(StudyRow)).one().purged_at = clock()

    records.change(mark)  # and then the process was killed
    assert retention.purge_due(KEEP_DAYS) == 1
    assert not delivered.exists()
    assert retention.purge_due(KEEP_DAYS) == 0
