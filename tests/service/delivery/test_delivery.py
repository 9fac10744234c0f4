"""Delivery against real Storage SCPs: well ones, refusing ones, dead ones."""

from __future__ import annotations

import shutil
from pathlib import Path
from threading import Event, Thread

import pytest
from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian, SegmentationStorage

from core.errors import InvalidInput
from core.job import JobState
from service.delivery import outbox
from service.delivery.outbox import DeliveryState
from tests.service.delivery_desk import courier, deliver, destination, only_delivery
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


def test_a_destination_taken_out_of_the_settings_is_given_up(records: Records, clock: MovedClock) -> None:
    records.add_job()
    deliver(records, clock, destination(free_port(), "old"))
    courier(records, clock, destination(free_port(), "new")).give_up_unconfigured()
    delivery = only_delivery(records.job())
    assert delivery.state == DeliveryState.GIVEN_UP
    assert delivery.last_error == "destination 'old' is no longer configured"


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
