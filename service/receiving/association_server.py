"""The TCP side of the receiver: what a connection may cost before anything is known about its peer."""

from __future__ import annotations

import socket
from typing import Any, cast

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from core.logs import logger
from core.settings import ReceiverSettings
from core.study_store import StudyStore
from service.receiving.spool import SpoolingProvider

LARGEST_PDU_READ_BYTES = 1024**2
"""A peer that announces a longer PDU is cut off before a byte of it is read; association requests
have a few kilobytes, data PDUs what we ask for."""

SILENT_CONNECTION_TIMEOUT_S = 30.0
"""How long one read may block."""

LISTEN_BACKLOG = 128


class _CappedSocket(AssociationSocket):
    """A socket that does not believe every announced length."""

    def recv(self, nr_bytes: int) -> bytearray:
        if nr_bytes > LARGEST_PDU_READ_BYTES:
            raise OSError(
                f"a PDU of {nr_bytes} bytes was announced, at most {LARGEST_PDU_READ_BYTES} are read"
            )
        return super().recv(nr_bytes)


class SpoolingHandler(RequestHandler):
    """Makes associations that spool to the study store."""

    server: AssociationServer

    def _create_association(self) -> Association:
        association = super()._create_association()
        # Changed in place: a second AssociationSocket would announce the connection twice.
        association.dul.socket.__class__ = _CappedSocket
        association.dimse = SpoolingProvider(
            association, self.server.store.temporary_path, self.server.settings.minimum_free_bytes
        )
        return association


class AssociationServer(ThreadedAssociationServer):
    """Accepts connections: a cap per address, no Nagle delay, room for a burst."""

    request_queue_size = LISTEN_BACKLOG
    daemon_threads = True
    store: StudyStore
    settings: ReceiverSettings

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection; a peer that falls silent or batches small answers must not slow us."""
        listening = cast("socket.socket", self.socket)
        connection, address = listening.accept()
        connection.settimeout(SILENT_CONNECTION_TIMEOUT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address

    def verify_request(self, _request: Any, client_address: Any) -> bool:
        """Tell whether this address may have one more connection; asked before any thread is made."""
        try:
            return self._has_place_for(client_address[0])
        except Exception as error:  # noqa: BLE001 - it would end the server, and nobody would listen
            logger().error("connection refused: it could not be judged", error=type(error).__name__)
            return False

    def _has_place_for(self, address: str) -> bool:
        limit = self.settings.maximum_associations_per_address
        theirs = sum(
            association.requestor.address_info is not None
            and association.requestor.address_info.address == address
            for association in self.active_associations
        )
        if theirs >= limit:
            logger().warning("connection refused: too many from one address", limit=limit)
        return bool(theirs < limit)
