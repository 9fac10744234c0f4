"""Push: one association, the objects of one result, and what the peer said to each of them.

Storage Service Class as SCU (PS3.4 Annex B). Knows neither the database nor when to try again.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from threading import Event

from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.status import code_to_category

from core.destinations import Destination
from core.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from service.delivery.fallbacks import FALLBACKS
from service.delivery.results import ResultObject

_config.STORE_SEND_CHUNKED_DATASET = True  # the published bytes go out as they are, never re-encoded
_config.LOG_HANDLER_LEVEL = "none"  # pynetdicom's own log lines name patients' UIDs

OUT_OF_RESOURCES = 0xA700
"""High byte of the statuses 0xA700 to 0xA7FF (PS3.4 B.2.3)."""

PASSING_FAILURES = frozenset({0x0110, 0x0213})
"""Processing failure and resource limitation (PS3.7 Annex C): the peer may be well again later."""

SOP_CLASS_NOT_SUPPORTED = 0x0122
"""PS3.7 Annex C: as good as a context that was not accepted."""

ALREADY_THERE = 0x0111
"""Duplicate SOP Instance: our UIDs derive from the content, so the peer has this very object."""

STEPS_AROUND_THE_OBJECTS = 3
"""Connecting, negotiating and releasing may each take the time limit, as each object may."""


class Verdict(StrEnum):
    """What became of one object, or of the whole push."""

    STORED = "stored"
    RETRY = "retry"
    REFUSED = "refused"
    """The same object will be refused again until somebody changes the peer."""


@dataclass(frozen=True, slots=True)
class PushReport:
    """Outcome of one push.

    Parameters
    ----------
    verdict
        The worst that matters: RETRY when any object may still get through, else REFUSED when any was.
    message
        For people: what the peer said about which object; empty when all were stored.
    reachable
        False when there was no association, so that nothing else will get through either.
    remark
        Of a push that is STORED: what the peer did not accept, and what it has in its place.
    """

    verdict: Verdict
    message: str
    reachable: bool = True
    remark: str = ""


def push(
    results: Sequence[ResultObject],
    peer: Destination,
    *,
    ae_title: str,
    timeout_s: float,
    spare: Sequence[ResultObject] = (),
) -> PushReport:
    """Send objects to a peer by C-STORE over one association.

    Parameters
    ----------
    spare
        Objects that are sent only in place of one the peer does not accept, by ``FALLBACKS``.

    Returns
    -------
    PushReport
        Never raises for what a peer or the network does.
    """
    ae = _sender([*results, *spare], ae_title, timeout_s)
    where = f"{peer.ae_title} at {peer.host}:{peer.port}"
    connected = Event()
    try:
        association = ae.associate(
            peer.host,
            peer.port,
            ae_title=peer.ae_title,
            evt_handlers=[(evt.EVT_CONN_OPEN, on_connected, [connected])],
        )
    except (OSError, UnicodeError) as error:  # the name is unknown, or cannot be a name at all
        return PushReport(Verdict.RETRY, f"{where} cannot be reached: {error}", reachable=False)
    try:
        if not association.is_established:
            return _no_association(association, results, where, connected=connected.is_set())
        replies = [_send(association, result) for result in results]
        replaced = _replace_not_accepted(association, replies, spare)
    finally:
        if association.is_established:
            association.release()
    return _summary(replaced)


def longest_push_s(objects: int, timeout_s: float) -> float:
    """Return how long a push of so many objects can take at worst, in seconds."""
    return (STEPS_AROUND_THE_OBJECTS + objects) * timeout_s


@dataclass(frozen=True, slots=True)
class _Reply:
    kind: str
    verdict: Verdict
    message: str
    not_accepted: bool = False
    remark: str = ""


def _sender(results: Sequence[ResultObject], ae_title: str, timeout_s: float) -> AE:
    ae = AE(ae_title=ae_title)
    ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.connection_timeout = timeout_s
    ae.acse_timeout = timeout_s
    ae.dimse_timeout = timeout_s
    ae.network_timeout = timeout_s
    for sop_class_uid, transfer_syntax_uid in sorted({_context(result) for result in results}):
        ae.add_requested_context(sop_class_uid, transfer_syntax_uid)
    return ae


def _context(result: ResultObject) -> tuple[str, str]:
    return result.sop_class_uid, str(read_file_meta_info(result.path).TransferSyntaxUID)


def on_connected(event: evt.Event, connected: Event) -> None:
    """Send small PDUs at once: Nagle and delayed ACK together cost some 40 ms a message."""
    transport = event.assoc.dul.socket
    if transport is not None and transport.socket is not None:
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.set()


def _no_association(
    association: Association, results: Sequence[ResultObject], where: str, *, connected: bool
) -> PushReport:
    if association.rejected_contexts:
        return PushReport(Verdict.REFUSED, "; ".join(_not_accepted(result) for result in results))
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        said = f"rejected the association: {answer.result_str}, {answer.source_str}, {answer.reason_str}"
    elif connected:
        said = "aborted the association, or did not answer the request for it"
    else:
        said = "cannot be reached"
    return PushReport(Verdict.RETRY, f"{where} {said}", reachable=False)


def _send(association: Association, result: ResultObject) -> _Reply:
    if not association.is_established:
        return _Reply(
            result.kind, Verdict.RETRY, f"{result.kind}: the association was lost before it was sent"
        )
    accepted = {(str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in association.accepted_contexts}
    if _context(result) not in accepted:
        return _Reply(result.kind, Verdict.REFUSED, _not_accepted(result), not_accepted=True)
    try:
        status = association.send_c_store(result.path)
    except RuntimeError:  # the peer ended the association a moment ago
        status = Dataset()
    if "Status" not in status:
        return _Reply(
            result.kind, Verdict.RETRY, f"{result.kind}: no answer, the connection was lost or timed out"
        )
    return _reply_to_status(result, int(status.Status))


def _reply_to_status(result: ResultObject, status: int) -> _Reply:
    if code_to_category(status) in {"Success", "Warning"} or status == ALREADY_THERE:
        return _Reply(result.kind, Verdict.STORED, f"{result.kind}: stored with status 0x{status:04X}")
    if status & 0xFF00 == OUT_OF_RESOURCES or status in PASSING_FAILURES:
        return _Reply(
            result.kind, Verdict.RETRY, f"{result.kind}: the peer is busy or full, status 0x{status:04X}"
        )
    return _Reply(
        result.kind,
        Verdict.REFUSED,
        f"{result.kind}: refused with status 0x{status:04X}; "
        f"the peer would have to store {_describe(result)}",
        not_accepted=status == SOP_CLASS_NOT_SUPPORTED,
    )


def _not_accepted(result: ResultObject) -> str:
    return (
        f"{result.kind}: presentation context not accepted; the peer would have to accept {_describe(result)}"
    )


def _describe(result: ResultObject) -> str:
    sop_class_uid, transfer_syntax_uid = _context(result)
    return f"{UID(sop_class_uid).name} ({sop_class_uid}) in {UID(transfer_syntax_uid).name}"


def _replace_not_accepted(
    association: Association, replies: Sequence[_Reply], spare: Sequence[ResultObject]
) -> list[_Reply]:
    """Send, for each object that was not accepted, the first fallback that is; keep what was said."""
    by_kind = {reply.kind: reply for reply in replies}
    unsent = {result.kind: result for result in spare}
    replaced = []
    for reply in replies:
        for kind in FALLBACKS.get(reply.kind, ()) if reply.not_accepted else ():
            if kind not in by_kind and kind in unsent:
                by_kind[kind] = _send(association, unsent[kind])
            if kind in by_kind and not by_kind[kind].not_accepted:
                break
        else:
            replaced.append(reply)
            continue
        replaced.append(_in_place_of(reply, by_kind[kind]))
    return replaced


def _in_place_of(reply: _Reply, other: _Reply) -> _Reply:
    """Return what became of an object whose fallback the peer took, or may still take."""
    if other.verdict is not Verdict.STORED:
        return _Reply(reply.kind, other.verdict, f"{reply.message}; in its place {other.message}")
    return _Reply(
        reply.kind, Verdict.STORED, reply.message, remark=f"{reply.message}; it has {other.kind} in its place"
    )


def _summary(replies: Sequence[_Reply]) -> PushReport:
    verdicts = {reply.verdict for reply in replies}
    if verdicts <= {Verdict.STORED}:
        return PushReport(Verdict.STORED, "", remark="; ".join(filter(None, (r.remark for r in replies))))
    verdict = Verdict.RETRY if Verdict.RETRY in verdicts else Verdict.REFUSED
    return PushReport(verdict, "; ".join(reply.message for reply in replies))
