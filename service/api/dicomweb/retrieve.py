"""WADO-RS: instances as DICOM files, and their metadata (PS3.18 10.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from service.api.dicomweb.instance_encoding import explicit_bytes, stored_bytes
from service.api.dicomweb.media_types import (
    ANY_TRANSFER_SYNTAX,
    ANYTHING,
    DICOM,
    DICOM_JSON,
    MULTIPART,
    Accepted,
    Choice,
    choose_json,
)
from service.api.dicomweb.multipart_response import Part, multipart_response
from service.api.dicomweb.resources import Reader, ReaderOf, SeriesUid, SopInstanceUid
from service.api.paths import StudyUid
from service.api.problems import ApiError, problem_responses
from service.catalogue.instances import StoredInstance

router = APIRouter(tags=["DICOMweb retrieve"])

_PROBLEMS = problem_responses(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_ACCEPTABLE)
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILES: dict[int | str, dict[str, Any]] = {
    **_PROBLEMS,
    200: {"description": "A part an instance.", "content": {MULTIPART: _BINARY, DICOM: _BINARY}},
    206: {
        "description": "The instances whose transfer syntax the client takes, of several.",
        "content": {MULTIPART: _BINARY},
    },
}
_METADATA: dict[int | str, dict[str, Any]] = {
    **_PROBLEMS,
    200: {
        "description": "An array with an item an instance.",
        "content": {DICOM_JSON: {"schema": {"type": "array", "items": {"type": "object"}}}},
    },
}


class Form(Enum):
    """How an instance is given."""

    STORED = "stored"
    EXPLICIT = "explicit"

    def chunks(self, instance: StoredInstance) -> Iterator[bytes]:
        """Yield the file."""
        return (stored_bytes if self is Form.STORED else explicit_bytes)(instance.path)


@router.get(
    "/studies/{study_instance_uid}",
    summary="Retrieve a study (WADO-RS)",
    response_class=StreamingResponse,
    responses=_FILES,
)
def retrieve_study(reader: ReaderOf, accepted: Accepted, study_instance_uid: StudyUid) -> Response:
    """Give a study's instances, received ones and results, as DICOM files."""
    return _files(reader.find(study_instance_uid), accepted)


@router.get(
    "/studies/{study_instance_uid}/series/{series_instance_uid}",
    summary="Retrieve a series (WADO-RS)",
    response_class=StreamingResponse,
    responses=_FILES,
)
def retrieve_series(
    reader: ReaderOf, accepted: Accepted, study_instance_uid: StudyUid, series_instance_uid: SeriesUid
) -> Response:
    """Give a series' instances as DICOM files."""
    return _files(reader.find(study_instance_uid, series_instance_uid), accepted)


@router.get(
    "/studies/{study_instance_uid}/series/{series_instance_uid}/instances/{sop_instance_uid}",
    summary="Retrieve an instance (WADO-RS)",
    response_class=StreamingResponse,
    responses=_FILES,
)
def retrieve_instance(
    reader: ReaderOf,
    accepted: Accepted,
    study_instance_uid: StudyUid,
    series_instance_uid: SeriesUid,
    sop_instance_uid: SopInstanceUid,
) -> Response:
    """Give an instance as a DICOM file: in a multipart answer, or by itself (Accept: application/dicom)."""
    found = reader.find(study_instance_uid, series_instance_uid, sop_instance_uid)
    if accepted and accepted[0].is_multipart is False and (form := form_for(found[0], accepted[:1])):
        return StreamingResponse(form.chunks(found[0]), media_type=DICOM)
    return _files(found, accepted)


@router.get(
    "/studies/{study_instance_uid}/metadata",
    summary="Metadata of a study",
    response_class=StreamingResponse,
    responses=_METADATA,
)
def study_metadata(reader: ReaderOf, accepted: Accepted, study_instance_uid: StudyUid) -> Response:
    """Give the headers of a study's instances in DICOM JSON, with addresses for bulk data."""
    return _metadata(reader, reader.find(study_instance_uid), accepted)


@router.get(
    "/studies/{study_instance_uid}/series/{series_instance_uid}/metadata",
    summary="Metadata of a series",
    response_class=StreamingResponse,
    responses=_METADATA,
)
def series_metadata(
    reader: ReaderOf, accepted: Accepted, study_instance_uid: StudyUid, series_instance_uid: SeriesUid
) -> Response:
    """Give the headers of a series' instances in DICOM JSON."""
    return _metadata(reader, reader.find(study_instance_uid, series_instance_uid), accepted)


@router.get(
    "/studies/{study_instance_uid}/series/{series_instance_uid}/instances/{sop_instance_uid}/metadata",
    summary="Metadata of an instance",
    response_class=StreamingResponse,
    responses=_METADATA,
)
def instance_metadata(
    reader: ReaderOf,
    accepted: Accepted,
    study_instance_uid: StudyUid,
    series_instance_uid: SeriesUid,
    sop_instance_uid: SopInstanceUid,
) -> Response:
    """Give the header of an instance in DICOM JSON, as an array with one item."""
    found = reader.find(study_instance_uid, series_instance_uid, sop_instance_uid)
    return _metadata(reader, found, accepted)


def form_for(instance: StoredInstance, accepted: Sequence[Choice]) -> Form | None:
    """Return in which form a client takes an instance; None if it takes none.

    A client that names no transfer syntax means Explicit VR Little Endian (PS3.18 8.7.3.5.2); one that takes
    anything gets what is stored. Nothing is decompressed.
    """
    for choice in accepted:
        if choice.includes(DICOM) and (form := _form(instance.transfer_syntax_uid, choice)):
            return form
    return None


def _form(stored: str, choice: Choice) -> Form | None:
    asked = choice.transfer_syntax_uid
    if asked in (ANY_TRANSFER_SYNTAX, stored) or (asked is None and choice.name == ANYTHING):
        return Form.STORED
    if asked not in (None, ExplicitVRLittleEndian):
        return None
    if stored == ExplicitVRLittleEndian:
        return Form.STORED
    return Form.EXPLICIT if stored == ImplicitVRLittleEndian else None


def _files(found: Sequence[StoredInstance], accepted: Sequence[Choice]) -> Response:
    """Return instances as parts; those the client does not take are left out, and 206 says so.

    Raises
    ------
    ApiError
        406: the client takes none of them.
    """
    multipart = [choice for choice in accepted if choice.is_multipart in (None, True)]
    forms = [(instance, form) for instance in found if (form := form_for(instance, multipart))]
    if not forms:
        syntaxes = ", ".join(sorted({instance.transfer_syntax_uid for instance in found}))
        raise ApiError(
            HTTPStatus.NOT_ACCEPTABLE,
            f'the Accept header takes none of: {MULTIPART}; type="{DICOM}"; transfer-syntax=* or {syntaxes}',
        )
    status = HTTPStatus.OK if len(forms) == len(found) else HTTPStatus.PARTIAL_CONTENT
    return multipart_response(
        DICOM, (Part(DICOM, form.chunks(instance)) for instance, form in forms), status=status
    )


def _metadata(reader: Reader, found: Sequence[StoredInstance], accepted: Sequence[Choice]) -> Response:
    media_type = choose_json(accepted)
    return StreamingResponse(_array(reader, found), media_type=media_type)


def _array(reader: Reader, found: Sequence[StoredInstance]) -> Iterator[bytes]:
    for number, instance in enumerate(found):
        yield b"[" if number == 0 else b","
        yield reader.dicomweb.metadata.json_of(instance.path, reader.url_of(instance))
    yield b"]"
