"""Delivery when names, files, jobs and clocks are not as they should be."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy.orm import Session

from core.database import DeliveryRow, JobRow
from core.errors import LeaseLost
from core.job import JobState
from service.delivery import outbox
from service.delivery.outbox import Claim, DeliveryState
from tests.service.delivery_desk import courier, deliver, destination, only_delivery
from tests.service.service_records import MovedClock, Records
from tests.service.storage_peers import free_port, storage_peer

# pynetdicom 3.0.4 shuts a socket that never connected down instead of closing it; Python closes it.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:Exception ignored in. <socket\.socket:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


def test_a_file_with_other_bytes_than_published_never_leaves(records: Records, clock: MovedClock) -> None:
    records.add_job()
    with records.result_path("job-1", "sr").open("ab") as file:
        file.write(b"\0\0")
    with storage_peer() as peer:
        delivery = only_delivery(deliver(records, clock, destination(peer.port)))
    assert delivery.state == DeliveryState.GIVEN_UP
    assert "SHA-256" in delivery.last_error
    assert peer.associations == 0


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".invalid"])
def test_a_peer_whose_name_is_unknown_is_tried_again(records: Records, clock: MovedClock, host: str) -> None:
    records.add_job()
    nowhere = destination(104).model_copy(update={"host": host})
    delivery = only_delivery(deliver(records, clock, nowhere))
    assert delivery.state == DeliveryState.PENDING
    assert delivery.next_try_at > clock.now
    assert f"PEER at {host}:104 cannot be reached" in delivery.last_error


def test_an_unforeseen_error_is_written_down_and_tried_again(records: Records, clock: MovedClock) -> None:
    records.add_job()
    records.change(spoil_results)
    delivery = only_delivery(deliver(records, clock, destination(free_port()), retry_first_s=30))
    assert delivery.state == DeliveryState.PENDING
    assert delivery.last_error == "the push failed unexpectedly (ValidationError)"
    assert (delivery.next_try_at - clock.now).total_seconds() == 30


def spoil_results(session: Session) -> None:
    session.get_one(JobRow, "job-1").results = {"sr": {"path": "without the rest"}}


def test_a_job_that_cannot_be_planned_holds_up_no_other(records: Records, clock: MovedClock) -> None:
    records.add_job("poison")
    records.add_job("sound", revision=2)
    refuse_deliveries_of(records, "poison")
    assert courier(records, clock, destination(free_port())).plan() == 1
    assert len(records.job("sound").deliveries) == 1


def refuse_deliveries_of(records: Records, job_id: str) -> None:
    """Let the database refuse every delivery of a job."""
    with records.engine.begin() as connection:
        connection.exec_driver_sql(
            f"CREATE TRIGGER refuse BEFORE INSERT ON delivery WHEN NEW.job_id = '{job_id}'"
            " BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )


def test_an_outbox_that_cannot_be_kept_does_not_end_the_deliveries(
    records: Records, clock: MovedClock
) -> None:
    records.add_job()
    present, stop, failures = courier(records, clock), Event(), iter([RuntimeError("unforeseen")])

    def give_up_unconfigured() -> None:
        for failure in failures:
            raise failure
        stop.set()

    present.give_up_unconfigured = give_up_unconfigured  # type: ignore[method-assign]
    present.run(stop)
    assert next(failures, None) is None
    assert stop.is_set()


def take(records: Records, clock: MovedClock) -> Claim:
    """Claim the only delivery for a minute."""
    with records.sessions.begin() as session:
        claimed = outbox.claim(
            session,
            session.query(DeliveryRow).one().id,
            now=clock.now,
            held_until=clock.now + timedelta(minutes=1),
        )
    assert claimed is not None
    return claimed


def ask_again(records: Records, clock: MovedClock) -> None:
    records.change(
        lambda session: outbox.redeliver(session, "job-1", "pacs", destinations=["pacs"], now=clock.now)
    )


@pytest.mark.parametrize("asked_anew", [False, True])
def test_a_push_that_was_overtaken_writes_nothing(
    records: Records, clock: MovedClock, *, asked_anew: bool
) -> None:
    records.add_job()
    courier(records, clock, destination(free_port())).plan()
    slow = take(records, clock)
    clock.advance(60)
    if asked_anew:
        ask_again(records, clock)
    newer = take(records, clock)
    for record in (
        lambda session: outbox.record_delivered(session, slow, clock.now),
        lambda session: outbox.record_postponed(session, slow, "slow", clock.now),
        lambda session: outbox.record_given_up(session, slow, "slow"),
    ):
        with pytest.raises(LeaseLost):
            records.change(record)
    records.change(lambda session: outbox.record_given_up(session, newer, "newer"))
    assert only_delivery(records.job()).last_error == "newer"


def test_a_result_asked_for_during_its_push_goes_out_again(records: Records, clock: MovedClock) -> None:
    records.add_job()

    def ask() -> None:
        clock.advance(1)
        ask_again(records, clock)

    with storage_peer(on_store=ask) as peer:
        job = deliver(records, clock, destination(peer.port))
    assert job.state == JobState.ENCODED
    assert only_delivery(job).state == DeliveryState.PENDING


def test_a_delivery_is_held_longer_than_a_slow_push_of_all_its_objects(
    records: Records, clock: MovedClock
) -> None:
    records.add_job()
    held_s: list[float] = []

    def look() -> None:
        held_s.append((only_delivery(records.job()).next_try_at - clock.now).total_seconds())

    with storage_peer(on_store=look) as peer:
        deliver(records, clock, destination(peer.port), timeout_s=30)
    connecting, negotiating, releasing, objects = 1, 1, 1, 2
    assert held_s[0] > (connecting + negotiating + releasing + objects) * 30


def test_two_senders_do_not_take_the_same_delivery(records: Records, clock: MovedClock) -> None:
    records.add_job()
    courier(records, clock, destination(free_port())).plan()
    (delivery_id,) = [delivery.id for delivery in records.job().deliveries]
    claims = []
    for _ in range(2):
        with records.sessions.begin() as session:
            later = clock.now.replace(hour=13)
            claims.append(outbox.claim(session, delivery_id, now=clock.now, held_until=later))
    assert claims[0] is not None
    assert claims[1] is None
