"""Push: one association, the objects of one result, and what the peer said to each of them.

Storage Service Class as SCU (PS3.4 Annex B). Knows neither the database nor when to try again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.status import code_to_category

from core.destinations import DicomDestination
from service.delivery.association import Caller, NothingAccepted, Unreachable, open_association
from service.delivery.push_report import (
    SOP_CLASS_NOT_SUPPORTED,
    PushReport,
    Reply,
    Verdict,
    summary,
    verdict_of_failure,
    with_fallbacks_sent,
)
from service.delivery.results import ResultObject

STEPS_AROUND_THE_OBJECTS = 3
"""Connecting, negotiating and releasing may each take the time limit, as each object may."""


def push(
    results: Sequence[ResultObject],
    peer: DicomDestination,
    caller: Caller,
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
    contexts = {_context(result) for result in (*results, *spare)}
    try:
        association = open_association(peer, contexts, caller)
    except Unreachable as error:
        return PushReport(Verdict.RETRY, str(error), reachable=False)
    except NothingAccepted:
        return PushReport(Verdict.REFUSED, "; ".join(_not_accepted(result) for result in results))
    send = partial(_send, association, caller)
    try:
        replies = with_fallbacks_sent([send(result) for result in results], spare, send)
    finally:
        if association.is_established:
            association.release()
    return summary(replies)


def longest_push_s(objects: int, size_bytes: int, caller: Caller) -> float:
    """Return how long a push of so many objects, so large together, can take at worst, in seconds."""
    return (STEPS_AROUND_THE_OBJECTS + objects) * caller.timeout_s + size_bytes / caller.slowest_bytes_per_s


def _context(result: ResultObject) -> tuple[str, str]:
    return result.sop_class_uid, str(read_file_meta_info(result.path).TransferSyntaxUID)


def _send(association: Association, caller: Caller, result: ResultObject) -> Reply:
    if not association.is_established:
        return Reply(result, Verdict.RETRY, f"{result.kind}: the association was lost before it was sent")
    accepted = {(str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in association.accepted_contexts}
    if _context(result) not in accepted:
        return Reply(result, Verdict.REFUSED, _not_accepted(result), not_accepted=True)
    association.dimse_timeout = caller.object_limit_s(result.path.stat().st_size)
    try:
        status = association.send_c_store(result.path)
    except RuntimeError:  # the peer ended the association a moment ago
        status = Dataset()
    if "Status" not in status:
        return Reply(result, Verdict.RETRY, f"{result.kind}: no answer, the connection was lost or timed out")
    return _reply_to_status(result, int(status.Status))


def _reply_to_status(result: ResultObject, status: int) -> Reply:
    is_stored = code_to_category(status) in {"Success", "Warning"}
    verdict = Verdict.STORED if is_stored else verdict_of_failure(status)
    if verdict is Verdict.STORED:
        return Reply(result, verdict, f"{result.kind}: stored with status 0x{status:04X}")
    if verdict is Verdict.RETRY:
        return Reply(result, verdict, f"{result.kind}: the peer is busy or full, status 0x{status:04X}")
    return Reply(
        result,
        verdict,
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
