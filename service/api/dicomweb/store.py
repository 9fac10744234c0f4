"""STOW-RS: instances in (PS3.18 10.5)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from core.audit import Actor, AuditAction, AuditEvent, AuditKind, AuditOutcome
from core.errors import Transient
from service.access.gate import OWN_ACTOR
from service.access.principal import Principal
from service.api.dicomweb.accesses import address_of
from service.api.dicomweb.addresses import studies_url
from service.api.dicomweb.media_types import DICOM, DICOM_JSON, MULTIPART, Accepted, choose_json
from service.api.dicomweb.multipart_request import InstanceParts, boundary_of, too_large
from service.api.dicomweb.parts import DicomWeb, DicomWebOf
from service.api.dicomweb.storing import StoreRequest
from service.api.parts import ApiParts, PartsOf, PrincipalOf
from service.api.paths import StudyUid
from service.api.problems import ApiError, problem_responses

RETRY_AFTER_S = 60
"""When a full disk may have been looked after."""

NO_ENCODINGS = frozenset({"", "identity"})
"""A compressed body may be a bomb, and instances hardly shrink."""

router = APIRouter(tags=["DICOMweb store"])

_DATA_SET = {DICOM_JSON: {"schema": {"type": "object"}}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    **problem_responses(
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_ACCEPTABLE,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ),
    200: {"description": "All are stored, durably.", "content": _DATA_SET},
    202: {
        "description": "Some are stored; FailedSOPSequence says which are not, and why.",
        "content": _DATA_SET,
    },
    409: {"description": "None is stored; FailedSOPSequence says why.", "content": _DATA_SET},
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f'`{MULTIPART}; type="{DICOM}"`, a part an instance, as PS3.10 files.',
        "content": {MULTIPART: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "/studies",
    summary="Store instances (STOW-RS)",
    response_class=Response,
    responses=_ANSWERS,
    openapi_extra=_BODY,
)
async def store_instances(
    request: Request, parts: PartsOf, dicomweb: DicomWebOf, principal: PrincipalOf, accepted: Accepted
) -> Response:
    """Store the instances of any studies; each is durable on disk once the answer says so."""
    return await _answer(request, parts, dicomweb, principal, None, choose_json(accepted))


@router.post(
    "/studies/{study_instance_uid}",
    summary="Store instances of one study (STOW-RS)",
    response_class=Response,
    responses=_ANSWERS,
    openapi_extra=_BODY,
)
async def store_instances_of_study(
    request: Request,
    parts: PartsOf,
    dicomweb: DicomWebOf,
    principal: PrincipalOf,
    accepted: Accepted,
    study_instance_uid: StudyUid,
) -> Response:
    """Store the instances of a study; one of another study is not stored."""
    media_type = choose_json(accepted)
    return await _answer(request, parts, dicomweb, principal, study_instance_uid, media_type)


async def _answer(
    request: Request,
    parts: ApiParts,
    dicomweb: DicomWeb,
    principal: Principal,
    study_instance_uid: str | None,
    media_type: str,
) -> Response:
    store = StoreRequest(
        dicomweb.ingest,
        parts.read_sessions,
        principal,
        study_instance_uid=study_instance_uid,
        address=address_of(request),
    )
    try:
        await _read_body(request, dicomweb, store)
    finally:
        await run_in_threadpool(_record, parts, principal, address_of(request), store)
    if not store.parts:
        raise ApiError(HTTPStatus.BAD_REQUEST, "the body has no part, expected one an instance")
    status = store.status()
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    content = json.dumps(store.response(studies_url(request)))
    return Response(content, status_code=status, media_type=media_type, headers=headers)


async def _read_body(request: Request, dicomweb: DicomWeb, store: StoreRequest) -> None:
    """Take the body in as it comes; the instances before a fault stay stored.

    Raises
    ------
    ApiError
        400, 413, 415: what is wrong with the body.
    Transient
        The disk is full or failing.
    """
    body = InstanceParts(_boundary(request, dicomweb), dicomweb.limits, dicomweb.uploads.new_path, store.take)
    try:
        async for chunk in request.stream():
            await run_in_threadpool(body.feed, chunk)
        body.finish()
    except ClientDisconnect as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "the connection ended within the body") from error
    except OSError as error:
        raise Transient(f"an upload cannot be written: {error.strerror}") from error
    finally:
        await run_in_threadpool(body.discard)


def _boundary(request: Request, dicomweb: DicomWeb) -> str:
    """Return the boundary of the body, after what its headers say against reading it.

    Raises
    ------
    ApiError
        400, 413, 415.
    """
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in NO_ENCODINGS:
        raise ApiError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Encoding {encoding[:80]!r}, expected none"
        )
    length = request.headers.get("Content-Length", "0")
    if length.isdecimal() and int(length) > dicomweb.limits.maximum_bytes:
        raise too_large("the body", dicomweb.limits.maximum_bytes)
    return boundary_of(request.headers.get("Content-Type", ""))


def _record(parts: ApiParts, principal: Principal, address: str, store: StoreRequest) -> None:
    """Leave in the audit trail what arrived."""
    studies = store.audited_studies()
    failed = sum(part.failure_reason != 0 for part in store.parts)
    if not studies and not failed:
        return
    parts.audit.record(
        AuditEvent(
            AuditKind.INSTANCES_TRANSFERRED,
            AuditAction.CREATE,
            (Actor(principal.name, address, is_requestor=True, role="source"), OWN_ACTOR),
            outcome=AuditOutcome.MINOR_FAILURE if failed else AuditOutcome.SUCCESS,
            studies=studies,
            detail=f"STOW-RS: {failed} instances not stored" if failed else "STOW-RS",
        )
    )
