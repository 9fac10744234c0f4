"""WADO-RS: frames and bulk data (PS3.18 10.4.1.1.3 and 10.4.1.1.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from fastapi.responses import StreamingResponse

from service.api.dicomweb.bulk import ATTRIBUTE_PATH, bulk_value, names_pixels, native_pixels
from service.api.dicomweb.decoding import Decoder
from service.api.dicomweb.frame_forms import FrameForm, frame_form, offered_forms
from service.api.dicomweb.frames import PixelLayout, check_frames, pixels_of, stored_frames
from service.api.dicomweb.media_types import (
    MULTIPART,
    OCTET_STREAM,
    Accepted,
    Choice,
    choose,
    not_acceptable,
)
from service.api.dicomweb.multipart_response import Part, multipart_response
from service.api.dicomweb.resources import ReaderOf, SeriesUid, SopInstanceUid
from service.api.dicomweb.stored_file import StoredFile, open_stored_file
from service.api.paths import StudyUid
from service.api.problems import problem_responses

router = APIRouter(tags=["DICOMweb retrieve"])

INSTANCE = "/studies/{study_instance_uid}/series/{series_instance_uid}/instances/{sop_instance_uid}"

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    **problem_responses(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_ACCEPTABLE),
    200: {
        "description": "A part a frame; compressed ones: image/jpeg, image/jls, image/jp2, image/dicom-rle.",
        "content": {MULTIPART: _BINARY, OCTET_STREAM: _BINARY, "image/*": _BINARY},
    },
}

FrameList = Annotated[
    str,
    Path(
        pattern=r"^[1-9][0-9]{0,6}(,[1-9][0-9]{0,6})*$",
        max_length=8000,
        description="Numbers of frames, from 1, separated by commas.",
    ),
]
AttributePath = Annotated[
    str,
    Path(
        pattern=ATTRIBUTE_PATH,
        max_length=600,
        description="A tag, such as 00420011; within sequences 00880200.0.7FE00010.",
    ),
]


@router.get(
    f"{INSTANCE}/frames/{{frame_list}}",
    summary="Retrieve frames (WADO-RS)",
    response_class=StreamingResponse,
    responses=_ANSWERS,
)
def retrieve_frames(
    reader: ReaderOf,
    accepted: Accepted,
    study_instance_uid: StudyUid,
    series_instance_uid: SeriesUid,
    sop_instance_uid: SopInstanceUid,
    frame_list: FrameList,
) -> Response:
    """Give frames as they are stored, or decoded (Accept: ...octet-stream, Explicit VR Little Endian)."""
    stored = open_stored_file(reader.find_one(study_instance_uid, series_instance_uid, sop_instance_uid).path)
    indices = [int(number) - 1 for number in frame_list.split(",")]
    return _frames(stored, indices, accepted, reader.dicomweb.decoder)


@router.get(
    f"{INSTANCE}/bulkdata/{{attribute_path}}",
    summary="Retrieve bulk data (WADO-RS)",
    response_class=StreamingResponse,
    responses=_ANSWERS,
)
def retrieve_bulk_data(
    reader: ReaderOf,
    accepted: Accepted,
    study_instance_uid: StudyUid,
    series_instance_uid: SeriesUid,
    sop_instance_uid: SopInstanceUid,
    attribute_path: AttributePath,
) -> Response:
    """Give a binary value that the metadata names; compressed pixel data comes frame by frame."""
    stored = open_stored_file(reader.find_one(study_instance_uid, series_instance_uid, sop_instance_uid).path)
    if not names_pixels(attribute_path):
        return _octets(iter((bulk_value(stored, attribute_path),)), accepted)
    place, layout = pixels_of(stored)
    if place.length_bytes is None:
        return _frames(stored, range(layout.frames), accepted, reader.dicomweb.decoder)
    return _octets(native_pixels(stored, place, place.length_bytes), accepted)


def _frames(
    stored: StoredFile, indices: Sequence[int], accepted: Sequence[Choice], decoder: Decoder
) -> Response:
    _, layout = pixels_of(stored)
    check_frames(layout, indices)
    form = frame_form(stored.transfer_syntax_uid, accepted, frames=len(indices))
    if form is None:
        raise not_acceptable(offered_forms(stored.transfer_syntax_uid))
    frames = _given(stored, layout, indices, form, decoder)
    first = next(frames)  # what cannot be given is told before the answer begins
    if not form.is_multipart:
        return Response(first, media_type=form.content_type)
    parts = (Part(form.content_type, (frame,)) for frame in chain((first,), frames))
    return multipart_response(form.media_type, parts)


def _given(
    stored: StoredFile, layout: PixelLayout, indices: Sequence[int], form: FrameForm, decoder: Decoder
) -> Iterator[bytes]:
    if form.is_decoded:
        return iter(decoder.frames(stored.path, indices, layout.decoded_frame_bytes))
    return stored_frames(stored, indices)


def _octets(chunks: Iterator[bytes], accepted: Sequence[Choice]) -> Response:
    """Return bytes as the only part, or by themselves where the client wants no multipart."""
    if any(choice.is_multipart is not False and choice.includes(OCTET_STREAM) for choice in accepted):
        return multipart_response(OCTET_STREAM, (Part(OCTET_STREAM, chunks),))
    return StreamingResponse(chunks, media_type=choose(accepted, (OCTET_STREAM,)))
