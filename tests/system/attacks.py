"""Connections that mean harm, held open while a test looks what becomes of others."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)

VERIFICATION = "1.2.840.10008.1.1"
LONGEST_PDU = 0xFFFFFFFF


@dataclass(frozen=True)
class Doors:
    """Where a receiver listens: plain DICOM, and DICOM over TLS."""

    port: int
    tls_port: int


def connect(address: str, port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 10, source_address=(address, 0))


def send_all(connection: socket.socket, content: bytes) -> None:
    """Send until the other side has had enough."""
    try:
        connection.sendall(content)
    except OSError:
        return


@contextmanager
def held(*connections: socket.socket) -> Iterator[None]:
    with ExitStack() as stack:
        for connection in connections:
            stack.enter_context(connection)
        yield


def idle(doors: Doors) -> AbstractContextManager[None]:
    return held(*(connect("127.0.0.2", doors.port) for _ in range(60)))


def idle_from_everywhere(doors: Doors) -> AbstractContextManager[None]:
    return held(*(connect(f"127.0.1.{host}", doors.port) for host in range(1, 61)))


def silent_before_tls(doors: Doors) -> AbstractContextManager[None]:
    return held(*(connect("127.0.0.3", doors.tls_port) for _ in range(15)))


def announce_4_gib(doors: Doors) -> AbstractContextManager[None]:
    connections = [connect("127.0.0.4", doors.port) for _ in range(3)]
    for connection in connections:
        send_all(connection, b"\x01\x00" + LONGEST_PDU.to_bytes(4) + bytes(64 * 1024**2))
    return held(*connections)


@contextmanager
def trickle(connections: list[socket.socket]) -> Iterator[None]:
    """Send a byte a second over each."""
    enough = threading.Event()

    def send() -> None:
        while not enough.wait(1.0):
            for connection in connections:
                send_all(connection, b"\x00")

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()
        for connection in connections:
            connection.close()


def slow_request(doors: Doors) -> AbstractContextManager[None]:
    connections = [connect("127.0.0.5", doors.port) for _ in range(5)]
    for connection in connections:
        send_all(connection, b"\x01\x00\x00\x00\x01\x00\x00\x01")
    return trickle(connections)


def slow_data(doors: Doors) -> AbstractContextManager[None]:
    connections = [connect("127.0.0.6", doors.port) for _ in range(5)]
    for connection in connections:
        send_all(connection, association_request())
        assert connection.recv(1) == b"\x02", "an A-ASSOCIATE-AC was expected"
        send_all(connection, b"\x04\x00\x00\x00\x40\x00")
    return trickle(connections)


def random_bytes(doors: Doors) -> AbstractContextManager[None]:
    source = random.Random(5)
    connections = [connect("127.0.0.7", doors.port) for _ in range(10)]
    for connection in connections:
        send_all(connection, source.randbytes(65_536))
    return held(*connections)


def http(doors: Doors) -> AbstractContextManager[None]:
    connections = [connect("127.0.0.8", port) for port in (doors.port, doors.tls_port)]
    for connection in connections:
        send_all(connection, b"GET / HTTP/1.1\r\nHost: metserve\r\n\r\n")
    return held(*connections)


def associations_in_a_row(doors: Doors) -> AbstractContextManager[None]:
    for _ in range(200):
        with connect("127.0.0.9", doors.port) as connection:
            send_all(connection, association_request())
    return held()


def associations_at_once(doors: Doors) -> AbstractContextManager[None]:
    connections = [connect("127.0.0.10", doors.port) for _ in range(200)]
    for connection in connections:
        send_all(connection, association_request())
    return held(*connections)


def association_request() -> bytes:
    """Return an encoded A-ASSOCIATE-RQ for Verification."""
    request, context, implementation = A_ASSOCIATE(), build_context(VERIFICATION), "2.25.9"
    context.context_id = 1
    length, identity = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 16_382
    identity.implementation_class_uid = implementation  # type: ignore[assignment]
    request.application_context_name = "1.2.840.10008.3.1.1.1"  # type: ignore[assignment]
    request.calling_ae_title, request.called_ae_title = "STRANGER", "METSERVE"
    request.presentation_context_definition_list = [context]
    request.user_information = [length, identity]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(request)
    return pdu.encode()


Attack = Callable[[Doors], AbstractContextManager[None]]

ATTACKS: list[Attack] = [
    idle,
    idle_from_everywhere,
    silent_before_tls,
    announce_4_gib,
    slow_request,
    slow_data,
    random_bytes,
    http,
    associations_in_a_row,
    associations_at_once,
]
