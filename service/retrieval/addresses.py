"""Where peers listen: the receivers of C-MOVE, and those that asked for storage commitment."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pynetdicom import evt
from pynetdicom.events import EventHandlerType

from core.destinations import DicomDestination
from core.peers import Peer


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where a peer listens."""

    ae_title: str
    host: str
    port: int
    tls: bool = False


@dataclass(frozen=True, slots=True)
class AddressBook:
    """The peers we may call by their AE title.

    Parameters
    ----------
    tls
        What we show to, and ask of, peers that listen with TLS; None: those cannot be called.
    """

    addresses: Mapping[str, PeerAddress]
    tls: ssl.SSLContext | None = None

    def find(self, ae_title: str) -> PeerAddress | None:
        """Return where a peer listens; None for one that is unknown or cannot be called."""
        address = self.addresses.get(ae_title.strip())
        return None if address is None or (address.tls and self.tls is None) else address

    def tls_arguments(self, address: PeerAddress) -> tuple[ssl.SSLContext, str] | None:
        """Return pynetdicom's ``tls_args`` for a peer."""
        return (self.tls, address.host) if address.tls and self.tls is not None else None


def address_book(
    peers: Iterable[Peer], destinations: Iterable[object] = (), tls: ssl.SSLContext | None = None
) -> AddressBook:
    """Put together whoever has an address; what a peer's own entry says comes first."""
    addresses = {
        one.ae_title: PeerAddress(one.ae_title, one.host, one.port, one.tls)
        for one in destinations
        if isinstance(one, DicomDestination)
    }
    addresses |= {
        peer.ae_title: PeerAddress(peer.ae_title, peer.host, peer.port, peer.tls)
        for peer in peers
        if peer.host and peer.port is not None
    }
    return AddressBook(addresses, tls)


def without_delay(event: evt.Event) -> None:
    """Send small PDUs at once: Nagle and delayed acknowledgement cost some 40 ms an instance."""
    transport = event.assoc.dul.socket
    if transport is not None and transport.socket is not None:
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


NO_DELAY: EventHandlerType = (evt.EVT_CONN_OPEN, without_delay)
