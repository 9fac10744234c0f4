"""What each check finds, and from where on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from core.database import AuditRow, DeliveryRow
from core.job import JobState
from service.upkeep.condition_checks import Thresholds, Watch
from tests.service.service_records import NOON, MovedClock, Records
from tests.system.certificates import Hospital

LIMIT_S = 900.0
THRESHOLDS = Thresholds(
    free_bytes=0,
    destination_failing_s=LIMIT_S,
    job_waiting_s=LIMIT_S,
    audit_unsent_s=LIMIT_S,
    certificate_days=30.0,
)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def watch(records: Records, clock: MovedClock) -> Watch:
    return Watch(records.read_sessions, records.store, clock, THRESHOLDS, audit_is_sent=True)


def found(watch: Watch) -> dict[str, str]:
    return {one.key: one.message for check in watch.checks() for one in check.look()}


def add_delivery(records: Records, **fields: object) -> None:
    def add(session: Session) -> None:
        values = {"state": "pending", "created_at": NOON, "next_try_at": NOON} | fields
        session.add(DeliveryRow(job_id="job-1", destination="pacs", **values))

    records.add_job(state=JobState.ENCODED)
    records.change(add)


def test_a_new_installation_has_no_condition(watch: Watch) -> None:
    assert found(watch) == {}


def test_every_key_begins_with_the_kind_of_its_check(watch: Watch) -> None:
    kinds = [check.kind for check in watch.checks()]
    assert len(set(kinds)) == len(kinds)


def test_little_free_disk_is_found(watch: Watch) -> None:
    full = replace(watch, thresholds=replace(THRESHOLDS, free_bytes=2**62))
    assert "GiB are free" in found(full)["disk"]


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.PREPARED, JobState.INFERRED])
def test_a_job_that_nobody_takes_on_is_found(
    records: Records, watch: Watch, clock: MovedClock, state: JobState
) -> None:
    records.add_job(state=state, updated_at=NOON)
    clock.advance(LIMIT_S - 1)
    assert found(watch) == {}
    clock.advance(1)
    assert found(watch) == {"queue": "1 jobs wait for a worker, the first since 2026-11-23T12:00+00:00"}


def test_a_job_that_is_worked_on_is_not_found_waiting(
    records: Records, watch: Watch, clock: MovedClock
) -> None:
    records.add_job(state=JobState.INFERRING, updated_at=NOON)
    clock.advance(LIMIT_S)
    assert found(watch) == {}


def test_a_parked_job_is_found_at_once(records: Records, watch: Watch) -> None:
    records.add_job(state=JobState.PARKED, updated_at=NOON)
    assert "1 jobs are parked" in found(watch)["parked"]


def test_a_destination_that_fails_for_long_is_found(
    records: Records, watch: Watch, clock: MovedClock
) -> None:
    add_delivery(records, last_error="PACS at pacs.example:104 cannot be reached")
    clock.advance(LIMIT_S - 1)
    assert found(watch) == {}
    clock.advance(1)
    assert "1 results cannot be delivered" in found(watch)["destination:pacs"]


def test_a_delivery_that_was_never_tried_is_no_failure(
    records: Records, watch: Watch, clock: MovedClock
) -> None:
    add_delivery(records)
    clock.advance(LIMIT_S)
    assert found(watch) == {}


def test_what_a_peer_said_is_not_repeated(records: Records, watch: Watch, clock: MovedClock) -> None:
    add_delivery(records, last_error="no patient Canary^Patient here")
    clock.advance(LIMIT_S)
    assert "Canary" not in found(watch)["destination:pacs"]


def test_a_delivery_that_was_given_up_is_found(records: Records, watch: Watch) -> None:
    add_delivery(records, state="given_up")
    assert found(watch) == {"given_up:pacs": "1 deliveries were given up"}


def test_audit_messages_that_do_not_get_through_are_found(
    records: Records, watch: Watch, clock: MovedClock
) -> None:
    row = AuditRow(recorded_at=NOON, kind="x", outcome=0, message="", previous_digest="", digest="d")
    records.change(lambda session: session.add(row))
    assert found(watch) == {}
    clock.advance(LIMIT_S)
    assert "audit messages" in found(watch)["audit"]
    assert found(replace(watch, audit_is_sent=False)) == {}


def test_a_certificate_that_ends_soon_is_found(watch: Watch, tmp_path: Path) -> None:
    pair = Hospital(tmp_path).issue("metserve.example")
    with_one = replace(watch, certificates=[("dicom", pair.certificate)])
    ends_soon = replace(with_one, thresholds=replace(THRESHOLDS, certificate_days=1_000_000.0))
    assert "expires at" in found(ends_soon)["certificate:dicom"]


def test_a_certificate_that_cannot_be_read_is_found(watch: Watch, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate", encoding="utf-8")
    for path in (broken, tmp_path / "missing.pem"):
        assert "cannot be read" in found(replace(watch, certificates=[("api", path)]))["certificate:api"]


def test_times_are_shown_as_they_are_not_how_long_ago(
    records: Records, watch: Watch, clock: MovedClock
) -> None:
    records.add_job(state=JobState.PARKED, updated_at=NOON)
    first = found(watch)
    clock.now += timedelta(hours=1)
    assert found(watch) == first
