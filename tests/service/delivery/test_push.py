"""The connection a push is made on."""

from __future__ import annotations

import socket
from pathlib import Path
from threading import Event

from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt

from core.uids import IMPLEMENTATION_CLASS_UID
from service.delivery.association import on_connected
from tests.service.delivery_desk import deliver, destination
from tests.service.service_records import MovedClock, Records
from tests.service.storage_peers import storage_peer


def test_small_messages_leave_at_once() -> None:
    """Without TCP_NODELAY a push is some seven times slower."""
    ae, connected = AE("METSERVE"), Event()
    ae.add_requested_context(ComprehensiveSRStorage, ExplicitVRLittleEndian)
    with storage_peer() as peer:
        association = ae.associate(
            "127.0.0.1",
            peer.port,
            ae_title="PEER",
            evt_handlers=[(evt.EVT_CONN_OPEN, on_connected, [connected])],
        )
        assert association.is_established
        transport = association.dul.socket
        assert transport is not None
        assert transport.socket is not None
        assert transport.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        association.release()
    assert connected.is_set()


def test_a_peer_is_told_that_metserve_sends_and_not_which_library(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.add_job(kinds=("sr",))
    with storage_peer() as peer:
        deliver(records, MovedClock(), destination(peer.port, objects=("sr",)))
    assert peer.implementations == [(IMPLEMENTATION_CLASS_UID, "METSERVE")]
