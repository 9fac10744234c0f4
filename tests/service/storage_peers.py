"""Storage SCPs to deliver to: real ones on the loopback, on ports the system chose."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydicom.uid import (
    UID,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    RTStructureSetStorage,
    SegmentationStorage,
)
from pynetdicom import AE, evt

STORED = (SegmentationStorage, ComprehensiveSRStorage)
OVERVIEW = MultiFrameTrueColorSecondaryCaptureImageStorage
PDF = EncapsulatedPDFStorage
RTSTRUCT = RTStructureSetStorage


class StoragePeer:
    """A pynetdicom Storage SCP that remembers what it was sent.

    Parameters
    ----------
    statuses
        Answer to each SOP class that is not simply stored.
    aborts
        Abort in the middle of every C-STORE.
    on_store
        Done in the middle of every C-STORE.
    """

    def __init__(
        self,
        sop_classes: Sequence[UID] = STORED,
        *,
        statuses: dict[UID, int] | None = None,
        aborts: bool = False,
        on_store: Callable[[], None] = lambda: None,
    ) -> None:
        self.statuses = dict(statuses or {})
        self.aborts = aborts
        self.on_store = on_store
        self.received: list[tuple[UID, UID]] = []
        self.bytes_by_class: dict[UID, bytes] = {}
        self.associations = 0
        self.proposed: list[set[tuple[str, str]]] = []
        self.implementations: list[tuple[str, str]] = []
        self._ae = AE(ae_title="PEER")
        self._ae.require_called_aet = True
        for sop_class in sop_classes:
            self._ae.add_supported_context(sop_class, ExplicitVRLittleEndian)
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_REQUESTED, self._requested)]
        self._server = self._ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port: int = self._server.server_address[1]

    def stop(self) -> None:
        self._server.shutdown()

    def _requested(self, event: evt.Event) -> None:
        self.associations += 1
        requestor = event.assoc.requestor
        self.implementations.append(
            (str(requestor.implementation_class_uid), str(requestor.implementation_version_name))
        )
        contexts = requestor.primitive.presentation_context_definition_list
        self.proposed.append(
            {(str(c.abstract_syntax), str(syntax)) for c in contexts for syntax in c.transfer_syntax}
        )

    def _store(self, event: evt.Event) -> int:
        if self.aborts:
            event.assoc.abort()
            return 0x0000
        self.on_store()
        sop_class = event.request.AffectedSOPClassUID
        status = self.statuses.get(sop_class, 0x0000)
        if status == 0x0000 or status >> 12 == 0xB:
            self.received.append((sop_class, event.request.AffectedSOPInstanceUID))
            self.bytes_by_class[sop_class] = event.encoded_dataset(include_meta=False)
        return status


@contextlib.contextmanager
def storage_peer(sop_classes: Sequence[UID] = STORED, **options: Any) -> Iterator[StoragePeer]:
    """Run a StoragePeer with these options."""
    peer = StoragePeer(sop_classes, **options)
    try:
        yield peer
    finally:
        peer.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def dcmtk_storescp(folder: Path) -> Iterator[int]:
    """Run DCMTK's storescp as PEER; give its port."""
    port = free_port()
    process = subprocess.Popen(
        ["env", "TCP_NODELAY=1", "storescp", "-aet", "PEER", "-od", str(folder), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")
