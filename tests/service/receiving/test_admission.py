"""What a peer meets at the door: rejected with the reason, or offered what its rights allow."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification

from core.audit import AuditKind
from core.job import Lane
from core.peers import Peer
from core.settings import ReceiverSettings
from service.receiving.receiver import MAX_ECHOES, Receiver
from tests.mr_headers import SIEMENS_MPRAGE, series, with_file_meta
from tests.service.collected_audit import CollectedAudit
from tests.service.reception_site import Site, open_site
from tests.service.storage_peers import free_port

PACS: dict[str, Any] = {"ae_title": "PACS", "addresses": ["127.0.0.1"]}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return open_site(tmp_path)


@pytest.fixture
def audit() -> CollectedAudit:
    return CollectedAudit()


@contextmanager
def door(site: Site, audit: CollectedAudit, *peers: dict[str, Any]) -> Iterator[int]:
    listed = tuple(Peer(**peer) for peer in peers)
    settings = ReceiverSettings(port=free_port(), minimum_free_bytes=0, peers=listed)
    receiver = Receiver(settings, site.ingest, site.store, audit=audit)
    receiver.start()
    try:
        yield settings.port
    finally:
        receiver.stop()


@contextmanager
def association(port: int, calling: str = "PACS", called: str = "METSERVE") -> Iterator[Association]:
    ae = AE(calling)
    ae.add_requested_context(Verification)
    ae.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
    assoc = ae.associate("127.0.0.1", port, ae_title=called)
    try:
        yield assoc
    finally:
        if assoc.is_established:
            assoc.release()


def answer(assoc: Association) -> tuple[int, int, int]:
    primitive = assoc.acceptor.primitive
    return primitive.result, primitive.result_source, primitive.diagnostic


def offered(assoc: Association) -> set[str]:
    return {str(context.abstract_syntax) for context in assoc.accepted_contexts}


def test_a_stranger_is_rejected_with_the_reason_and_that_is_audited(
    site: Site, audit: CollectedAudit
) -> None:
    with door(site, audit, PACS) as port:
        for _ in range(3):
            with association(port, calling="STRANGER") as assoc:
                assert assoc.is_rejected
                assert answer(assoc) == (1, 1, 3)
    (alert,) = audit.of(AuditKind.SECURITY_ALERT)
    assert alert.actors[0].user_id == "STRANGER"
    assert alert.actors[0].network_address == "127.0.0.1"
    assert "unknown_calling_ae_title" in alert.detail


def test_a_wrong_called_ae_title_is_rejected_as_such(site: Site, audit: CollectedAudit) -> None:
    with door(site, audit, PACS) as port, association(port, called="OTHER") as assoc:
        assert answer(assoc) == (1, 1, 7)


def test_a_peer_is_offered_what_its_rights_allow(site: Site, audit: CollectedAudit) -> None:
    with door(site, audit, {**PACS, "rights": ["echo"]}) as port, association(port) as assoc:
        assert offered(assoc) == {Verification}
    with door(site, audit, {**PACS, "rights": ["store"]}) as port, association(port) as assoc:
        assert offered(assoc) == {MRImageStorage}


def test_who_may_only_retrieve_cannot_store(site: Site, audit: CollectedAudit) -> None:
    with door(site, audit, {**PACS, "rights": ["retrieve"]}) as port, association(port) as assoc:
        (dataset,) = series(1, "t1", SIEMENS_MPRAGE, slices=1)
        if MRImageStorage in offered(assoc):
            assert assoc.send_c_store(with_file_meta(dataset)).Status == 0x0124
    assert site.instances() == []


def test_an_address_of_nobody_is_closed_before_it_says_anything(site: Site, audit: CollectedAudit) -> None:
    with (
        door(site, audit, {**PACS, "addresses": ["192.0.2.0/24"]}) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
    ):
        assert connection.recv(1) == b""
    assert "unknown_address" in audit.of(AuditKind.SECURITY_ALERT)[0].detail


def test_an_urgent_peers_studies_are_urgent(site: Site, audit: CollectedAudit) -> None:
    (dataset,) = series(1, "t1", SIEMENS_MPRAGE, slices=1)
    with door(site, audit, {**PACS, "lane": "urgent"}) as port, association(port) as assoc:
        assert assoc.send_c_store(with_file_meta(dataset)).Status == 0x0000
    assert site.study().lane == Lane.URGENT


def test_what_an_association_brought_is_audited_once_for_each_study(
    site: Site, audit: CollectedAudit
) -> None:
    with door(site, audit, PACS) as port, association(port) as assoc:
        for dataset in series(1, "t1", SIEMENS_MPRAGE, slices=3):
            assoc.send_c_store(with_file_meta(dataset))
    (event,) = audit.of(AuditKind.INSTANCES_TRANSFERRED)
    (study,) = event.studies
    assert study.patient_id == "PID-CANARY"
    assert study.sop_classes == ((MRImageStorage, 3),)
    assert [actor.user_id for actor in event.actors] == ["PACS", "METSERVE"]


def test_a_flood_of_echoes_ends_the_association_and_not_the_door(site: Site, audit: CollectedAudit) -> None:
    with door(site, audit, PACS) as port:
        with association(port) as assoc:
            for _ in range(MAX_ECHOES + 50):
                if not assoc.is_established or "Status" not in assoc.send_c_echo():
                    break
            assoc.join(timeout=10)  # it ends with the connection
            assert not assoc.is_established
        with association(port) as assoc:
            assert assoc.send_c_echo().Status == 0x0000
