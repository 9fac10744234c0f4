"""Associations that we open: who calls, how patiently, and why one did not come about."""

from __future__ import annotations

import math
import socket
import ssl
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any

from pydicom.uid import UID
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association

from core.destinations import DicomDestination
from core.errors import MetserveError, Transient
from core.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_config.STORE_SEND_CHUNKED_DATASET = True  # the published bytes go out as they are, never re-encoded
_config.LOG_HANDLER_LEVEL = "none"  # pynetdicom's own log lines name patients' UIDs

DEFAULT_SLOWEST_BYTES_PER_S = 10_000.0
"""A poor line still carries more."""

Handler = tuple[Any, Callable[..., Any]] | tuple[Any, Callable[..., Any], list[Any]]


class Unreachable(Transient):
    """There is no association: nothing else will get through to this peer at present either."""


class NothingAccepted(MetserveError):
    """The peer answered and accepted none of the presentation contexts."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who opens associations, and how patiently.

    Parameters
    ----------
    timeout_s
        Limit of each step: to connect, to negotiate, to be answered.
    slowest_bytes_per_s
        The limit for an object grows with its size divided by this.
    tls
        For destinations that want TLS; None: there are none.
    """

    ae_title: str
    timeout_s: float
    slowest_bytes_per_s: float = DEFAULT_SLOWEST_BYTES_PER_S
    tls: ssl.SSLContext | None = None

    def object_limit_s(self, size_bytes: int) -> float:
        """Return how long an object of this size may take."""
        return self.timeout_s + size_bytes / self.slowest_bytes_per_s


def open_association(
    peer: DicomDestination,
    contexts: Iterable[tuple[str, str]],
    caller: Caller,
    handlers: Iterable[Handler] = (),
) -> Association:
    """Return an established association.

    Parameters
    ----------
    contexts
        Pairs of abstract and transfer syntax, a presentation context each.

    Raises
    ------
    Unreachable
        Nobody is there, or the peer does not want to talk to us.
    NothingAccepted
        The peer accepted no presentation context.
    """
    ae, connected = _entity(caller), Event()
    for abstract_syntax, transfer_syntax in sorted(set(contexts)):
        ae.add_requested_context(abstract_syntax, transfer_syntax)
    opened = (evt.EVT_CONN_OPEN, partial(on_connected, timeout_s=caller.timeout_s), [connected])
    try:
        association = ae.associate(
            peer.host,
            peer.port,
            ae_title=peer.ae_title,
            evt_handlers=[opened, *handlers],
            tls_args=_tls_arguments(peer, caller),
        )
    except (OSError, UnicodeError) as error:  # the name is unknown, or cannot be a name at all
        raise Unreachable(f"{peer.where} cannot be reached: {error}") from error
    if not association.is_established:
        _explain(association, peer, connected=connected.is_set())
    return association


def on_connected(event: evt.Event, connected: Event, timeout_s: float = 0.0) -> None:
    """Send small PDUs at once, and do not wait for ever for a peer that stopped reading.

    Nagle and delayed ACK together cost some 40 ms a message. pynetdicom sends without a time limit; the
    kernel's own (0: none) ends a send that makes no progress.
    """
    transport = event.assoc.dul.socket
    if transport is not None and transport.socket is not None:
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        limit = struct.pack("ll", math.ceil(timeout_s), 0)
        transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    connected.set()


def _entity(caller: Caller) -> AE:
    ae = AE(ae_title=caller.ae_title)
    ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.connection_timeout = caller.timeout_s
    ae.acse_timeout = caller.timeout_s
    ae.dimse_timeout = caller.timeout_s
    ae.network_timeout = caller.timeout_s
    return ae


def _tls_arguments(peer: DicomDestination, caller: Caller) -> tuple[ssl.SSLContext, str] | None:
    if not peer.tls:
        return None
    if caller.tls is None:
        raise Unreachable(f"{peer.where} wants TLS; expected METSERVE_TLS_AUTHORITIES to be set")
    return caller.tls, peer.host


def _explain(association: Association, peer: DicomDestination, *, connected: bool) -> None:
    if association.rejected_contexts:
        raise NothingAccepted(f"{peer.where} accepted no presentation context")
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        said = f"rejected the association: {answer.result_str}, {answer.source_str}, {answer.reason_str}"
    elif connected:
        said = "aborted the association, or did not answer the request for it"
    elif peer.tls:
        said = "cannot be reached, or there was no agreement on TLS"
    else:
        said = "cannot be reached"
    raise Unreachable(f"{peer.where} {said}")
