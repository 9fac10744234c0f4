"""The TCP side of the receiver: what a connection may cost before anything is known about its peer."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections import Counter
from typing import Any, cast
from weakref import WeakSet

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from core.logs import logger
from core.settings import ReceiverSettings
from core.study_store import StudyStore
from service.receiving.gate import Gate, JudgingACSE
from service.receiving.peer_rules import Caller
from service.receiving.spool import SpoolingProvider

LARGEST_PDU_READ_BYTES = 1024**2
"""A peer that announces a longer PDU is cut off before a byte of it is read; association requests
have a few kilobytes, data PDUs what we ask for."""

PDU_LIMIT_S = 60.0
"""Time for a whole PDU, however steadily it trickles in: at most a megabyte a minute is asked of a peer."""

SILENT_CONNECTION_TIMEOUT_S = 30.0
"""How long one read may block."""

HANDSHAKE_LIMIT_S = 10.0
"""Time for a TLS handshake; it takes milliseconds."""

LISTEN_BACKLOG = 128


class _CappedSocket(AssociationSocket):
    """A socket that does not believe every announced length, and does not wait for ever for the rest."""

    def recv(self, nr_bytes: int) -> bytearray:
        if nr_bytes > LARGEST_PDU_READ_BYTES:
            raise OSError(
                f"a PDU of {nr_bytes} bytes was announced, at most {LARGEST_PDU_READ_BYTES} are read"
            )
        deadline, content, read = time.monotonic() + PDU_LIMIT_S, bytearray(nr_bytes), 0
        connection = cast("socket.socket", self.socket)
        with memoryview(content) as view:
            while read < nr_bytes:
                received = connection.recv_into(view[read:])
                if received == 0:
                    break
                read += received
                if time.monotonic() > deadline:
                    raise OSError(f"a PDU took longer than {PDU_LIMIT_S:.0f} s")
        return content[:read]


class SpoolingHandler(RequestHandler):
    """Makes associations that ask the gate and spool to the study store."""

    server: AssociationServer

    def _create_association(self) -> Association:
        association = super()._create_association()
        # Changed in place: a second AssociationSocket would announce the connection twice.
        association.dul.socket.__class__ = _CappedSocket
        association.acse = JudgingACSE(association, self.server.gate)
        association.dimse = SpoolingProvider(
            association, self.server.store.temporary_path, self.server.settings.minimum_free_bytes
        )
        return association


class AssociationServer(ThreadedAssociationServer):
    """Accepts connections: a cap per address, no Nagle delay, TLS off the accept loop, room for a burst.

    Parameters
    ----------
    share_port
        Let other processes of this host listen on the same port; the kernel spreads the connections.
    """

    request_queue_size = LISTEN_BACKLOG
    daemon_threads = True

    def __init__(
        self,
        *arguments: Any,
        settings: ReceiverSettings,
        store: StudyStore,
        gate: Gate,
        share_port: bool = False,
        **options: Any,
    ) -> None:
        self.settings = settings
        self.store = store
        self.gate = gate
        self._share_port = share_port
        self._entering: Counter[str] = Counter()
        self._entering_lock = threading.Lock()
        self._dropped: WeakSet[Association] = WeakSet()
        super().__init__(*arguments, **options)

    def server_bind(self) -> None:
        """Bind the socket; see ``share_port``."""
        if self._share_port:
            cast("socket.socket", self.socket).setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

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
            return self._enters(client_address[0]) and self._make_room()
        except Exception as error:  # noqa: BLE001 - it would end the server, and nobody would listen
            logger().error("connection refused: it could not be judged", error=type(error).__name__)
            return False

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Do the TLS handshake, if there is one, and begin the association."""
        try:
            connection = self._secured(request, client_address[0])
            if connection is not None:
                super().process_request_thread(connection, client_address)
        finally:
            with self._entering_lock:
                self._entering[client_address[0]] -= 1
                self._entering += Counter()  # forget addresses with nothing under way

    def _secured(self, request: socket.socket, address: str) -> socket.socket | None:
        """Return the connection to talk over; None when the peer's handshake failed."""
        if self.ssl_context is None:
            return request
        request.settimeout(HANDSHAKE_LIMIT_S)
        try:
            connection = self.ssl_context.wrap_socket(request, server_side=True)
        except (OSError, ValueError) as error:
            self.gate.tell(f"tls_{_handshake_failure(error)}", Caller("", address))
            self.shutdown_request(request)
            return None
        connection.settimeout(SILENT_CONNECTION_TIMEOUT_S)
        return connection

    def _enters(self, address: str) -> bool:
        if not self.gate.rules.may_come_from(address):
            self.gate.tell("unknown_address", Caller("", address))
            return False
        limit = self.gate.rules.connections_allowed(address)
        with self._entering_lock:
            theirs = self._entering[address] + sum(
                association.requestor.address_info is not None
                and association.requestor.address_info.address == address
                for association in self.active_associations
            )
            if theirs < limit:
                self._entering[address] += 1
                return True
        self.gate.tell("too_many_from_one_address", Caller("", address))
        return False

    def _make_room(self) -> bool:
        """Drop who has asked for nothing for longest, where such connections would take every place; True.

        The cap of an address does not help against many addresses. A peer that means well sends its
        request at once, and who has sent it is not dropped.
        """
        present = [one for one in self.active_associations if one not in self._dropped]
        waiting = [one for one in present if one.requestor.primitive is None]
        if waiting and len(present) >= self.settings.maximum_associations:
            self._dropped.add(waiting[0])
            _drop(waiting[0])
        return True


def _drop(association: Association) -> None:
    """End a connection that has not become an association; its threads end by themselves."""
    transport = association.dul.socket
    connection = transport.socket if transport is not None else None
    if connection is not None:
        with contextlib.suppress(OSError):  # closed meanwhile
            connection.shutdown(socket.SHUT_RDWR)  # wakes a read under way
    association.dul.kill_dul()


def _handshake_failure(error: Exception) -> str:
    """Return why a handshake failed, in a word that can be a metric's label."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate_refused"
    if isinstance(error, TimeoutError):
        return "handshake_timed_out"
    reason = str(getattr(error, "reason", "") or "")
    return "no_certificate" if "DID_NOT_RETURN" in reason else "handshake_failed"
