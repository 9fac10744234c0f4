"""What a peer gets that does not accept everything: a real SCP, one association."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.uid import UID, ComprehensiveSRStorage, SegmentationStorage

from core.job import JobState
from core.results import ResultKind
from service.delivery.fallbacks import FALLBACKS, with_fallbacks
from service.delivery.outbox import DeliveryState
from tests.service.delivery_desk import deliver, destination, only_delivery
from tests.service.service_records import MovedClock, Records
from tests.service.storage_peers import OVERVIEW, PDF, RTSTRUCT, StoragePeer, storage_peer

EVERYTHING = ("seg", "sr", "rtstruct", "overview", "pdf")
SEG, SR = SegmentationStorage, ComprehensiveSRStorage


@pytest.fixture
def records(tmp_path: Path) -> Records:
    records = Records(tmp_path)
    records.add_job(kinds=EVERYTHING)
    return records


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


def classes(peer: StoragePeer) -> list[UID]:
    return [sop_class for sop_class, _ in peer.received]


def test_a_peer_without_seg_gets_the_overview_and_the_delivery_says_so(
    records: Records, clock: MovedClock
) -> None:
    with storage_peer([SR, OVERVIEW]) as peer:
        job = deliver(records, clock, destination(peer.port, objects=("seg", "sr")))
    assert classes(peer) == [SR, OVERVIEW]
    assert job.state == JobState.DELIVERED
    assert only_delivery(job).remark.startswith("seg: presentation context not accepted")
    assert only_delivery(job).remark.endswith("it has overview in its place")
    assert peer.associations == 1


def test_what_is_sent_anyway_is_not_sent_twice(records: Records, clock: MovedClock) -> None:
    with storage_peer([SR, OVERVIEW]) as peer:
        job = deliver(records, clock, destination(peer.port, objects=("seg", "sr", "overview")))
    assert classes(peer) == [SR, OVERVIEW]
    assert "it has overview in its place" in only_delivery(job).remark


def test_a_peer_without_sr_gets_the_pages(records: Records, clock: MovedClock) -> None:
    with storage_peer([SEG, OVERVIEW, PDF]) as peer:
        deliver(records, clock, destination(peer.port, objects=("seg", "sr")))
    assert classes(peer) == [SEG, PDF]


def test_a_peer_with_neither_sr_nor_pdf_gets_the_overview(records: Records, clock: MovedClock) -> None:
    with storage_peer([SEG, OVERVIEW]) as peer:
        job = deliver(records, clock, destination(peer.port, objects=("sr", "pdf")))
    assert classes(peer) == [OVERVIEW]
    assert job.state == JobState.DELIVERED
    assert only_delivery(job).remark.count("it has overview in its place") == 2


def test_a_peer_that_takes_all_gets_no_fallback(records: Records, clock: MovedClock) -> None:
    with storage_peer([SEG, SR, OVERVIEW, PDF]) as peer:
        job = deliver(records, clock, destination(peer.port, objects=("seg", "sr")))
    assert classes(peer) == [SEG, SR]
    assert only_delivery(job).remark == ""


def test_a_peer_that_takes_neither_is_given_up_and_told_what_it_would_have_to_accept(
    records: Records, clock: MovedClock
) -> None:
    with storage_peer([SR]) as peer:
        job = deliver(records, clock, destination(peer.port, objects=("seg", "sr")))
    assert only_delivery(job).state == DeliveryState.GIVEN_UP
    assert "Segmentation Storage" in only_delivery(job).last_error
    assert job.state == JobState.ENCODED


def test_a_structure_set_has_no_fallback(records: Records, clock: MovedClock) -> None:
    with storage_peer([SEG, SR, OVERVIEW, PDF]) as peer:
        job = deliver(records, clock, destination(peer.port, objects=("seg", "rtstruct")))
    assert only_delivery(job).state == DeliveryState.GIVEN_UP
    assert "RT Structure Set Storage" in only_delivery(job).last_error


def test_a_class_refused_only_when_the_object_comes_is_replaced_too(
    records: Records, clock: MovedClock
) -> None:
    with storage_peer([SEG, SR, OVERVIEW], statuses={SEG: 0x0122}) as peer:
        job = deliver(records, clock, destination(peer.port, objects=("seg", "sr")))
    assert classes(peer) == [SR, OVERVIEW]
    assert job.state == JobState.DELIVERED


def test_an_object_the_peer_finds_wrong_is_not_replaced(records: Records, clock: MovedClock) -> None:
    with storage_peer([SEG, SR, OVERVIEW], statuses={SEG: 0xA900}) as peer:
        job = deliver(records, clock, destination(peer.port, objects=("seg", "sr")))
    assert classes(peer) == [SR]
    assert only_delivery(job).state == DeliveryState.GIVEN_UP


def test_a_fallback_the_peer_has_no_room_for_is_tried_again(records: Records, clock: MovedClock) -> None:
    with storage_peer([SR, OVERVIEW], statuses={OVERVIEW: 0xA700}) as peer:
        job = deliver(records, clock, destination(peer.port, objects=("seg", "sr")))
    assert only_delivery(job).state == DeliveryState.PENDING
    assert "seg: presentation context not accepted" in only_delivery(job).last_error
    assert "0xA700" in only_delivery(job).last_error


def test_a_lost_fallback_that_nobody_needs_keeps_nothing_back(records: Records, clock: MovedClock) -> None:
    records.result_path("job-1", "overview").unlink()
    with storage_peer([SEG, SR, OVERVIEW]) as peer:
        job = deliver(records, clock, destination(peer.port, objects=("seg", "sr")))
    assert classes(peer) == [SEG, SR]
    assert job.state == JobState.DELIVERED


def test_a_lost_fallback_is_not_sent(records: Records, clock: MovedClock) -> None:
    records.result_path("job-1", "overview").write_bytes(b"something else")
    with storage_peer([SR, OVERVIEW]) as peer:
        job = deliver(records, clock, destination(peer.port, objects=("seg", "sr")))
    assert classes(peer) == [SR]
    assert only_delivery(job).state == DeliveryState.GIVEN_UP


def test_a_planning_system_gets_the_structure_set_alone(records: Records, clock: MovedClock) -> None:
    with storage_peer([SEG, SR, OVERVIEW, RTSTRUCT]) as peer:
        job = deliver(records, clock, destination(peer.port, profile="eclipse"))
    assert classes(peer) == [RTSTRUCT]
    assert job.state == JobState.DELIVERED


def test_fallbacks_are_named_once_and_after_what_is_wanted() -> None:
    assert with_fallbacks(("seg", "sr")) == ("seg", "sr", "overview", "pdf")


def test_nothing_stands_in_for_itself() -> None:
    assert all(kind not in others for kind, others in FALLBACKS.items())
    assert ResultKind.RTSTRUCT not in FALLBACKS
