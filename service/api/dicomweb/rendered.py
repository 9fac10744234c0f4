"""WADO-RS: pictures of images (PS3.18 10.4.1.1.2 and 10.4.1.1.5)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from core.errors import InvalidInput
from service.api.dicomweb.frames import check_frames, pixels_of
from service.api.dicomweb.media_types import Accepted, choose
from service.api.dicomweb.pixels import INSTANCE, FrameList
from service.api.dicomweb.render_request import (
    DEFAULT_QUALITY,
    RenderRequest,
    Viewport,
    parse_viewport,
    parse_window,
)
from service.api.dicomweb.resources import Reader, ReaderOf, SeriesUid, SopInstanceUid
from service.api.dicomweb.stored_file import open_stored_file
from service.api.paths import StudyUid
from service.api.problems import ApiError, problem_responses
from service.catalogue.instances import StoredInstance

router = APIRouter(tags=["DICOMweb rendered"])

PICTURES = ("image/jpeg", "image/png")
"""The standard's default first."""

THUMBNAIL = Viewport(128, 128)
"""Pixels; what the lists of viewers show."""

WINDOW_SCHEMA = {"pattern": r"^-?[0-9]{1,6}(\.[0-9]{1,6})?,[1-9][0-9]{0,5}(,(linear|linear-exact|sigmoid))?$"}
VIEWPORT_SCHEMA = {
    "pattern": r"^[1-9][0-9]{0,2},[1-9][0-9]{0,2}(,[0-9]{1,5},[0-9]{1,5},[1-9][0-9]{0,4},[1-9][0-9]{0,4})?$"
}
"""For OpenAPI; what is accepted is a little more (``render_request``)."""

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    **problem_responses(HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.NOT_ACCEPTABLE),
    200: {"description": "A picture.", "content": dict.fromkeys(PICTURES, _BINARY)},
}


class Look:
    """How a picture is to look."""

    def __init__(
        self,
        window: Annotated[
            str | None,
            Query(
                max_length=100,
                description="center,width,function; default: the header's.",
                json_schema_extra={**WINDOW_SCHEMA},
            ),
        ] = None,
        viewport: Annotated[
            str | None,
            Query(
                max_length=100,
                description="width,height to fit into, and x,y,width,height of the part.",
                json_schema_extra={**VIEWPORT_SCHEMA},
            ),
        ] = None,
        quality: Annotated[int, Query(ge=1, le=100, description="Of JPEG.")] = DEFAULT_QUALITY,
    ) -> None:
        try:
            self.window = None if window is None else parse_window(window)
            self.viewport = None if viewport is None else parse_viewport(viewport)
        except InvalidInput as error:
            raise ApiError(HTTPStatus.BAD_REQUEST, str(error)) from error
        self.quality = quality

    def request(self, frame_index: int | None, media_type: str, default: Viewport | None) -> RenderRequest:
        """Return it for one frame."""
        return RenderRequest(frame_index, media_type, self.quality, self.window, self.viewport or default)


LookOf = Annotated[Look, Depends()]


@router.get(
    f"{INSTANCE}/rendered", summary="Picture of an instance", response_class=Response, responses=_ANSWERS
)
def render_instance(
    reader: ReaderOf,
    accepted: Accepted,
    look: LookOf,
    study_instance_uid: StudyUid,
    series_instance_uid: SeriesUid,
    sop_instance_uid: SopInstanceUid,
) -> Response:
    """Draw an image; of several frames the representative one, or the middle one."""
    found = reader.find_one(study_instance_uid, series_instance_uid, sop_instance_uid)
    return _picture(reader, found, look.request(None, choose(accepted, PICTURES), None))


@router.get(
    f"{INSTANCE}/frames/{{frame_list}}/rendered",
    summary="Picture of a frame",
    response_class=Response,
    responses=_ANSWERS,
)
def render_frame(
    reader: ReaderOf,
    accepted: Accepted,
    look: LookOf,
    study_instance_uid: StudyUid,
    series_instance_uid: SeriesUid,
    sop_instance_uid: SopInstanceUid,
    frame_list: FrameList,
) -> Response:
    """Draw one frame; a list of several has no picture."""
    found = reader.find_one(study_instance_uid, series_instance_uid, sop_instance_uid)
    return _picture(reader, found, look.request(_only(frame_list), choose(accepted, PICTURES), None))


@router.get(
    "/studies/{study_instance_uid}/thumbnail",
    summary="Small picture of a study",
    response_class=Response,
    responses=_ANSWERS,
)
def study_thumbnail(
    reader: ReaderOf, accepted: Accepted, look: LookOf, study_instance_uid: StudyUid
) -> Response:
    """Draw an image of the study, small."""
    return _thumbnail(reader, _middle(reader.find(study_instance_uid)), accepted, look)


@router.get(
    "/studies/{study_instance_uid}/series/{series_instance_uid}/thumbnail",
    summary="Small picture of a series",
    response_class=Response,
    responses=_ANSWERS,
)
def series_thumbnail(
    reader: ReaderOf,
    accepted: Accepted,
    look: LookOf,
    study_instance_uid: StudyUid,
    series_instance_uid: SeriesUid,
) -> Response:
    """Draw the middle image of the series, small."""
    found = reader.find(study_instance_uid, series_instance_uid)
    return _thumbnail(reader, _middle(found), accepted, look)


@router.get(
    f"{INSTANCE}/thumbnail",
    summary="Small picture of an instance",
    response_class=Response,
    responses=_ANSWERS,
)
def instance_thumbnail(
    reader: ReaderOf,
    accepted: Accepted,
    look: LookOf,
    study_instance_uid: StudyUid,
    series_instance_uid: SeriesUid,
    sop_instance_uid: SopInstanceUid,
) -> Response:
    """Draw an image, small."""
    found = reader.find_one(study_instance_uid, series_instance_uid, sop_instance_uid)
    return _thumbnail(reader, found, accepted, look)


def _thumbnail(reader: Reader, found: StoredInstance, accepted: Accepted, look: Look) -> Response:
    return _picture(reader, found, look.request(None, choose(accepted, PICTURES), THUMBNAIL))


def _picture(reader: Reader, found: StoredInstance, request: RenderRequest) -> Response:
    stored = open_stored_file(found.path)
    _, layout = pixels_of(stored)
    check_frames(layout, [request.frame_index or 0])
    content = reader.dicomweb.decoder.render(stored.path, request, layout.decoded_frame_bytes)
    return Response(content, media_type=request.media_type)


def _middle(found: tuple[StoredInstance, ...]) -> StoredInstance:
    return found[len(found) // 2]


def _only(frame_list: str) -> int:
    first, *others = frame_list.split(",")
    if others:
        raise ApiError(HTTPStatus.NOT_ACCEPTABLE, f"{1 + len(others)} frames, expected one: ask for each")
    return int(first) - 1
