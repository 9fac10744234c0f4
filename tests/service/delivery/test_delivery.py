"""Delivery against real Storage SCPs: well ones, refusing ones, dead ones."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian, SegmentationStorage
from sqlalchemy.orm import Session

from core.database import DeliveryRow, JobRow
from core.errors import InvalidInput, LeaseLost
from core.job import JobState
from core.settings import DeliverySettings, Destination
from service.delivery import outbox
from service.delivery.courier import Courier
from service.delivery.outbox import Claim, DeliveryState
from tests.service.service_records import MovedClock, Records
from tests.service.storage_peers import dcmtk_storescp, free_port, storage_peer

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


def destination(port: int, name: str = "pacs", **fields: Any) -> Destination:
    return Destination(name=name, ae_title="PEER", host="127.0.0.1", port=port, **fields)


def courier(records: Records, clock: MovedClock, *destinations: Destination, **settings: Any) -> Courier:
    return Courier(
        sessions=records.sessions,
        read_sessions=records.read_sessions,
        store=records.store,
        settings=DeliverySettings(
            **({"destinations": destinations, "timeout_s": 5, "poll_interval_s": 0.02} | settings)
        ),
        clock=clock,
        jitter=lambda: 0.0,
    )


def deliver(records: Records, clock: MovedClock, *destinations: Destination, **settings: Any) -> JobRow:
    """Plan and make one round; give the job as it is then."""
    present = courier(records, clock, *destinations, **settings)
    present.plan()
    present.deliver_due()
    return records.job()


def only_delivery(job: JobRow) -> DeliveryRow:
    (delivery,) = job.deliveries
    return delivery


def test_seg_and_sr_arrive_and_the_job_is_delivered(records: Records, clock: MovedClock) -> None:
    records.add_job()
    with storage_peer() as peer:
        job = deliver(records, clock, destination(peer.port))
    assert {sop_class for sop_class, _ in peer.received} == {SegmentationStorage, ComprehensiveSRStorage}
    assert job.state == JobState.DELIVERED
    assert only_delivery(job).state == DeliveryState.DELIVERED
    assert only_delivery(job).delivered_at == clock.now


def test_the_published_bytes_arrive_unchanged(records: Records, clock: MovedClock) -> None:
    records.add_job(kinds=("sr",))
    with storage_peer() as peer:
        deliver(records, clock, destination(peer.port))
    assert (
        records.result_path("job-1", "sr").read_bytes().endswith(peer.bytes_by_class[ComprehensiveSRStorage])
    )


def test_one_association_proposes_exactly_what_is_sent(records: Records, clock: MovedClock) -> None:
    records.add_job()
    with storage_peer() as peer:
        deliver(records, clock, destination(peer.port))
    assert peer.associations == 1
    assert peer.proposed == [
        {
            (SegmentationStorage, ExplicitVRLittleEndian),
            (ComprehensiveSRStorage, ExplicitVRLittleEndian),
        }
    ]


def test_a_negative_study_is_delivered_without_a_seg(records: Records, clock: MovedClock) -> None:
    records.add_job(lesions=0)
    with storage_peer() as peer:
        job = deliver(records, clock, destination(peer.port))
    assert [sop_class for sop_class, _ in peer.received] == [ComprehensiveSRStorage]
    assert job.state == JobState.DELIVERED


def test_a_destination_gets_only_the_objects_it_wants(records: Records, clock: MovedClock) -> None:
    records.add_job()
    with storage_peer() as peer:
        deliver(records, clock, destination(peer.port, objects=("seg",)))
    assert [sop_class for sop_class, _ in peer.received] == [SegmentationStorage]


def test_nothing_to_send_needs_no_association(records: Records, clock: MovedClock) -> None:
    records.add_job(lesions=0)
    job = deliver(records, clock, destination(free_port(), objects=("seg",)))
    assert job.state == JobState.DELIVERED


def test_without_destinations_a_job_is_delivered_at_once(records: Records, clock: MovedClock) -> None:
    records.add_job()
    assert deliver(records, clock).state == JobState.DELIVERED


def test_planning_twice_makes_one_delivery(records: Records, clock: MovedClock) -> None:
    records.add_job()
    present = courier(records, clock, destination(free_port()))
    assert present.plan() == 1
    assert present.plan() == 0
    assert len(records.job().deliveries) == 1


def test_a_job_still_computing_is_not_planned(records: Records, clock: MovedClock) -> None:
    records.add_job(state=JobState.INFERRING)
    assert courier(records, clock, destination(free_port())).plan() == 0


def test_a_peer_out_of_resources_is_tried_again_later(records: Records, clock: MovedClock) -> None:
    records.add_job(kinds=("sr",))
    with storage_peer(statuses={ComprehensiveSRStorage: 0xA700}) as peer:
        job = deliver(records, clock, destination(peer.port), retry_first_s=30)
        assert only_delivery(job).state == DeliveryState.PENDING
        assert "0xA700" in only_delivery(job).last_error
        assert (only_delivery(job).next_try_at - clock.now).total_seconds() == 30
        peer.statuses.clear()
        assert deliver(records, clock, destination(peer.port)).state == JobState.ENCODED
        clock.advance(30)
        assert deliver(records, clock, destination(peer.port)).state == JobState.DELIVERED
    assert len(peer.received) == 1


def test_pauses_double_up_to_the_longest(records: Records, clock: MovedClock) -> None:
    present = courier(records, clock, retry_first_s=30, retry_longest_s=100)
    assert [present.pause_s(attempt) for attempt in (1, 2, 3, 4, 5000)] == [30, 60, 100, 100, 100]


def test_a_warning_counts_as_stored(records: Records, clock: MovedClock) -> None:
    records.add_job()
    with storage_peer(statuses={SegmentationStorage: 0xB000}) as peer:
        assert deliver(records, clock, destination(peer.port)).state == JobState.DELIVERED


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0x0122])
def test_an_object_the_peer_cannot_take_is_given_up_at_once(
    records: Records, clock: MovedClock, status: int
) -> None:
    records.add_job()
    with storage_peer(statuses={SegmentationStorage: status}) as peer:
        job = deliver(records, clock, destination(peer.port))
    delivery = only_delivery(job)
    assert delivery.state == DeliveryState.GIVEN_UP
    assert f"seg: refused with status 0x{status:04X}" in delivery.last_error
    assert "Segmentation Storage" in delivery.last_error
    assert [sop_class for sop_class, _ in peer.received] == [ComprehensiveSRStorage]
    assert job.state == JobState.ENCODED


def test_a_peer_without_the_seg_class_gets_the_sr_and_is_named(records: Records, clock: MovedClock) -> None:
    records.add_job()
    with storage_peer([ComprehensiveSRStorage]) as peer:
        delivery = only_delivery(deliver(records, clock, destination(peer.port)))
    assert delivery.state == DeliveryState.GIVEN_UP
    assert "seg: presentation context not accepted" in delivery.last_error
    assert "Explicit VR Little Endian" in delivery.last_error
    assert [sop_class for sop_class, _ in peer.received] == [ComprehensiveSRStorage]


def test_a_peer_that_accepts_no_context_at_all_is_given_up(records: Records, clock: MovedClock) -> None:
    records.add_job(kinds=("seg",))
    with storage_peer([ComprehensiveSRStorage]) as peer:
        delivery = only_delivery(deliver(records, clock, destination(peer.port)))
    assert delivery.state == DeliveryState.GIVEN_UP
    assert "presentation context not accepted" in delivery.last_error


def test_a_peer_that_aborts_is_tried_again(records: Records, clock: MovedClock) -> None:
    records.add_job()
    with storage_peer(aborts=True) as peer:
        delivery = only_delivery(deliver(records, clock, destination(peer.port), timeout_s=1))
    assert delivery.state == DeliveryState.PENDING
    assert "connection was lost" in delivery.last_error


def test_a_peer_with_another_ae_title_rejects_and_is_tried_again(records: Records, clock: MovedClock) -> None:
    records.add_job()
    with storage_peer() as peer:
        wrong = destination(peer.port).model_copy(update={"ae_title": "OTHER"})
        delivery = only_delivery(deliver(records, clock, wrong))
    assert delivery.state == DeliveryState.PENDING
    assert "rejected the association" in delivery.last_error
    assert "Called AE title not recognised" in delivery.last_error


def test_one_dead_peer_does_not_hold_up_another(records: Records, clock: MovedClock) -> None:
    records.add_job()
    with storage_peer() as peer:
        job = deliver(records, clock, destination(free_port(), "dead"), destination(peer.port, "alive"))
    states = {delivery.destination: delivery.state for delivery in job.deliveries}
    assert states == {"dead": DeliveryState.PENDING, "alive": DeliveryState.DELIVERED}
    assert job.state == JobState.ENCODED


def test_a_dead_peer_is_asked_once_for_all_its_jobs(records: Records, clock: MovedClock) -> None:
    records.add_job("job-1")
    records.add_job("job-2", revision=2)
    deliver(records, clock, destination(free_port()), retry_first_s=30)
    first, second = only_delivery(records.job("job-1")), only_delivery(records.job("job-2"))
    assert "cannot be reached" in first.last_error
    assert (first.attempts, second.attempts) == (1, 0)
    assert first.next_try_at == second.next_try_at > clock.now


def test_a_delivery_is_given_up_when_its_time_is_over(records: Records, clock: MovedClock) -> None:
    records.add_job()
    dead = destination(free_port())
    deliver(records, clock, dead, retry_for_s=3600)
    clock.advance(3600)
    delivery = only_delivery(deliver(records, clock, dead, retry_for_s=3600))
    assert delivery.state == DeliveryState.GIVEN_UP
    assert delivery.attempts == 2
    assert "cannot be reached" in delivery.last_error


def test_a_file_with_other_bytes_than_published_never_leaves(records: Records, clock: MovedClock) -> None:
    records.add_job()
    with records.result_path("job-1", "sr").open("ab") as file:
        file.write(b"\0\0")
    with storage_peer() as peer:
        delivery = only_delivery(deliver(records, clock, destination(peer.port)))
    assert delivery.state == DeliveryState.GIVEN_UP
    assert "SHA-256" in delivery.last_error
    assert peer.associations == 0


def test_a_destination_taken_out_of_the_settings_is_given_up(records: Records, clock: MovedClock) -> None:
    records.add_job()
    deliver(records, clock, destination(free_port(), "old"))
    courier(records, clock, destination(free_port(), "new")).give_up_unconfigured()
    delivery = only_delivery(records.job())
    assert delivery.state == DeliveryState.GIVEN_UP
    assert delivery.last_error == "destination 'old' is no longer configured"


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


def test_a_refused_delivery_goes_out_once_somebody_asks_again(records: Records, clock: MovedClock) -> None:
    records.add_job()
    with storage_peer(statuses={SegmentationStorage: 0xA900}) as peer:
        to = destination(peer.port)
        first = only_delivery(deliver(records, clock, to))
        assert first.state == DeliveryState.GIVEN_UP
        peer.statuses.clear()
        with records.sessions.begin() as session:
            outbox.redeliver(session, "job-1", "pacs", destinations=["pacs"], now=clock.now)
        job = deliver(records, clock, to)
    assert job.state == JobState.DELIVERED
    instance_uids = [uid for sop_class, uid in peer.received if sop_class == ComprehensiveSRStorage]
    assert len(instance_uids) == 2
    assert len(set(instance_uids)) == 1


def test_only_a_configured_destination_can_be_asked_for(records: Records, clock: MovedClock) -> None:
    records.add_job()
    with records.sessions.begin() as session, pytest.raises(InvalidInput, match="'elsewhere'"):
        outbox.redeliver(session, "job-1", "elsewhere", destinations=["pacs"], now=clock.now)


def test_running_delivers_until_told_to_stop(records: Records, clock: MovedClock) -> None:
    records.add_job()
    stop, arrived = Event(), Event()
    with storage_peer() as peer:
        present = courier(records, clock, destination(peer.port))
        thread = Thread(target=present.run, args=(stop,))
        thread.start()
        for _ in range(500):
            if records.job().state == JobState.DELIVERED:
                arrived.set()
                break
            stop.wait(0.02)
        stop.set()
        thread.join(30)
    assert arrived.is_set()
    assert not thread.is_alive()


@pytest.mark.skipif(shutil.which("storescp") is None, reason="needs DCMTK's storescp")
def test_dcmtk_stores_what_we_send(records: Records, clock: MovedClock, tmp_path: Path) -> None:
    records.add_job()
    arrived = tmp_path / "arrived"
    arrived.mkdir()
    with dcmtk_storescp(arrived) as port:
        job = deliver(records, clock, destination(port))
    assert job.state == JobState.DELIVERED
    classes = {read_file_meta_info(path).MediaStorageSOPClassUID for path in arrived.iterdir()}
    assert classes == {SegmentationStorage, ComprehensiveSRStorage}
    sent = dcmread(records.result_path("job-1", "sr"))
    assert sent.SOPInstanceUID in {dcmread(path).SOPInstanceUID for path in arrived.iterdir()}
