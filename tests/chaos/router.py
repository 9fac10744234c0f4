"""The PACS that sends: every instance again and again until it is acknowledged, and a memory of what was."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association

from service.delivery.association import on_connected
from tests.chaos.small_studies import SmallStudy
from tests.system.peers import listens

TIMEOUT_S = 2.0
"""pynetdicom does not notice a peer that is gone while it waits for an answer."""

PAUSE_S = 0.25
"""Between a failed try and the next one."""


class Router:
    """Sends studies side by side, as auto-routing does, to one Storage SCP."""

    AE_TITLE = "ROUTER"

    def __init__(self, port: int, *, senders: int = 3) -> None:
        self.port = port
        self.acknowledged: dict[str, str] = {}
        """SOP Instance UID -> SHA-256 of its pixel data, once success was answered."""
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(senders)
        self._stopped = threading.Event()

    def send(self, study: SmallStudy) -> Future[None]:
        """Begin to send a study; the future ends when every instance is acknowledged."""
        return self._threads.submit(self._send, study)

    def stop(self) -> None:
        self._stopped.set()
        self._threads.shutdown(wait=True)

    def _send(self, study: SmallStudy) -> None:
        waiting = list(study.datasets)
        while waiting and not self._stopped.is_set():
            stored = self._try(waiting, study.digests)
            waiting = [dataset for dataset in waiting if str(dataset.SOPInstanceUID) not in stored]
            if waiting:
                time.sleep(PAUSE_S)

    def _try(self, datasets: Iterable[object], digests: dict[str, str]) -> set[str]:
        """Send over one association for as long as that lasts; return what was acknowledged."""
        stored: set[str] = set()
        if not listens(self.port):
            return stored
        association = self._associate()
        try:
            for dataset in datasets:
                if not association.is_established:
                    break
                status = association.send_c_store(dataset)  # type: ignore[arg-type]
                if "Status" in status and status.Status == 0x0000:
                    stored.add(str(dataset.SOPInstanceUID))  # type: ignore[attr-defined]
        except (RuntimeError, OSError):  # the association ended a moment ago
            pass
        finally:
            if association.is_established:
                association.release()
            _close(association)
        with self._lock:
            self.acknowledged |= {uid: digests[uid] for uid in stored}
        return stored

    def _associate(self) -> Association:
        ae = AE(self.AE_TITLE)
        ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = TIMEOUT_S
        handlers = [(evt.EVT_CONN_OPEN, on_connected, [threading.Event()])]
        contexts = [build_context(MRImageStorage, ExplicitVRLittleEndian)]
        return ae.associate(
            "127.0.0.1", self.port, contexts=contexts, ae_title="METSERVE", evt_handlers=handlers
        )


def _close(association: Association) -> None:
    """Close the socket of an association whose peer was killed: pynetdicom leaves it open."""
    transport = association.dul.socket
    if transport is not None and transport.socket is not None:
        transport.socket.close()
