"""What a STOW-RS server said to each object: status and Store Instances Response Module (PS3.18 10.5.3)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydicom.uid import UID

from service.delivery.push_report import SOP_CLASS_NOT_SUPPORTED, Reply, Verdict, verdict_of_failure
from service.delivery.results import ResultObject

REFERENCED_SOP_SEQUENCE = "00081199"
FAILED_SOP_SEQUENCE = "00081198"
REFERENCED_SOP_INSTANCE_UID = "00081155"
FAILURE_REASON = "00081197"

PROCESSING_FAILURE = 0x0110
"""Stands in for a failure without a reason."""

EXISTS_ALREADY = 45070
"""Failure reason of a widespread cloud archive: this very instance was stored before."""

ANSWERED = frozenset({HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT})
"""All stored, some stored, none stored; the body says which (PS3.18 table 10.5.3-1)."""

PASSING = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.LOCKED}
)
CLOSED = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
    }
)
"""Nothing to do with the object: a token that ran out, a wrong address. Somebody will mend it."""


@dataclass(frozen=True, slots=True)
class StoreResponse:
    """An answer to a store request.

    Parameters
    ----------
    details
        The DICOM JSON body; None when there was none that can be read.
    text
        Begin of the body.
    """

    status: int
    details: dict[str, Any] | None
    text: str = ""


def read_response(status: int, body: bytes) -> StoreResponse:
    """Return an answer from its status and body, whatever the body is."""
    text = body[:200].decode("utf-8", "replace")
    try:
        details = json.loads(body)
    except (ValueError, RecursionError):
        return StoreResponse(status, None, text)
    if isinstance(details, list) and len(details) == 1:
        details = details[0]
    is_about_instances = isinstance(details, dict) and (
        REFERENCED_SOP_SEQUENCE in details or FAILED_SOP_SEQUENCE in details
    )
    return StoreResponse(status, details if is_about_instances else None, text)


def is_about_all(status: int) -> bool:
    """Tell whether a status says that nothing will get through for now, whatever is sent."""
    is_redirect = 300 <= status < 400
    return is_redirect or status >= 500 or status in PASSING or status in CLOSED


def replies_of(response: StoreResponse, results: Sequence[ResultObject]) -> list[Reply]:
    """Return what was said to each object."""
    if response.status not in ANSWERED:
        return [_refused_by_status(result, response.status) for result in results]
    if response.details is None:
        return [_without_details(result, response) for result in results]
    failed = dict(_items(response.details, FAILED_SOP_SEQUENCE))
    stored = {uid for uid, _ in _items(response.details, REFERENCED_SOP_SEQUENCE)}
    return [_reply(result, response.status, failed, stored) for result in results]


def _reply(result: ResultObject, status: int, failed: dict[str, Any], stored: set[str]) -> Reply:
    uid = result.sop_instance_uid
    if uid in failed:
        return _failed(result, _failure_reason(failed[uid]))
    if uid in stored or status == HTTPStatus.OK:
        return Reply(result, Verdict.STORED, f"{result.kind}: stored")
    return Reply(result, Verdict.RETRY, f"{result.kind}: the answer (HTTP {status}) does not mention it")


def _failed(result: ResultObject, reason: int) -> Reply:
    verdict = Verdict.STORED if reason == EXISTS_ALREADY else verdict_of_failure(reason)
    if verdict is Verdict.STORED:
        return Reply(result, verdict, f"{result.kind}: was there already")
    if verdict is Verdict.RETRY:
        return Reply(result, verdict, f"{result.kind}: not stored, failure reason 0x{reason:04X}")
    return Reply(
        result,
        verdict,
        f"{result.kind}: refused with failure reason 0x{reason:04X}; the server would have to store "
        f"{UID(result.sop_class_uid).name} ({result.sop_class_uid})",
        not_accepted=reason == SOP_CLASS_NOT_SUPPORTED,
    )


def _without_details(result: ResultObject, response: StoreResponse) -> Reply:
    if response.status == HTTPStatus.OK:
        return Reply(result, Verdict.STORED, f"{result.kind}: stored")
    if response.status == HTTPStatus.CONFLICT and "exist" in response.text.lower():
        return Reply(result, Verdict.STORED, f"{result.kind}: was there already")
    if response.status == HTTPStatus.ACCEPTED:
        return Reply(result, Verdict.RETRY, f"{result.kind}: HTTP 202 that does not say what was stored")
    return Reply(result, Verdict.REFUSED, f"{result.kind}: refused with HTTP 409 that does not say why")


def _refused_by_status(result: ResultObject, status: int) -> Reply:
    not_accepted = status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    return Reply(
        result, Verdict.REFUSED, f"{result.kind}: refused with HTTP {status}", not_accepted=not_accepted
    )


def _items(details: dict[str, Any], sequence: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield SOP Instance UID and item of a sequence, as far as it is one."""
    element = details.get(sequence)
    items = element.get("Value") if isinstance(element, dict) else None
    for item in items if isinstance(items, list) else ():
        uid = _first_value(item, REFERENCED_SOP_INSTANCE_UID)
        if isinstance(uid, str):
            yield uid, item


def _failure_reason(item: dict[str, Any]) -> int:
    reason = _first_value(item, FAILURE_REASON)
    return reason if isinstance(reason, int) else PROCESSING_FAILURE


def _first_value(item: Any, tag: str) -> Any:
    element = item.get(tag) if isinstance(item, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None
