"""QIDO-RS: what there is (PS3.18 10.6). Patient data stands in these URLs, as the standard has it."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import WithJsonSchema
from pydicom import Dataset

from core.errors import InvalidInput
from service.api.dicomweb.accesses import record_query
from service.api.dicomweb.addresses import studies_url
from service.api.dicomweb.media_types import DICOM_JSON, Accepted, choose_json
from service.api.dicomweb.resources import SeriesUid
from service.api.dicomweb.search_keys import (
    LARGEST_OFFSET,
    MOST_RESULTS,
    TOO_MANY,
    parse_search,
    unmatched_warning,
    warning_header,
)
from service.api.parts import PartsOf, PrincipalOf
from service.api.paths import StudyUid
from service.api.problems import ApiError, problem_responses
from service.catalogue.query import Level, search, unmatched_keys

router = APIRouter(tags=["DICOMweb search"])

ONLINE = "ONLINE"
"""Instance Availability (0008,0056), PS3.3 C.4.23.1.1."""

_ANSWERS: dict[int | str, dict[str, Any]] = {
    **problem_responses(HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_ACCEPTABLE),
    200: {
        "description": "An array with an item a match. A Warning header tells when there is more, or when the"
        " search was wider than asked for.",
        "content": {DICOM_JSON: {"schema": {"type": "array", "items": {"type": "object"}}}},
    },
    204: {"description": "Nothing matches."},
}


Field = Annotated[str, WithJsonSchema({"type": "string", "pattern": r"^([0-9A-F]{8}|all)$"})]
"""Keywords are taken too; no pattern has them all."""


class Searcher:
    """One who searches, and for what."""

    def __init__(
        self,
        request: Request,
        parts: PartsOf,
        principal: PrincipalOf,
        accepted: Accepted,
        limit: Annotated[
            int, Query(ge=0, le=2**31, description=f"Most matches; never more than {MOST_RESULTS}.")
        ] = MOST_RESULTS,
        offset: Annotated[int, Query(ge=0, le=LARGEST_OFFSET, description="Matches to skip.")] = 0,
        fuzzymatching: Annotated[bool, Query(description="Not supported; a Warning says so.")] = False,
        includefield: Annotated[
            list[Field] | None, Query(description="Attributes wanted, or all; every known one is given.")
        ] = None,
    ) -> None:
        self._request = request
        self._parts = parts
        self._principal = principal
        self._accepted = accepted
        self._limit = min(limit, MOST_RESULTS)
        self._offset = offset
        self._asked = parse_search(
            request.query_params.multi_items(), fuzzy=fuzzymatching, include=includefield or ()
        )

    def answer(self, level: Level, **fixed: str) -> Response:
        """Return what matches.

        Parameters
        ----------
        fixed
            UIDs of the URL, by keyword; they go before those of the query.

        Raises
        ------
        ApiError
            400, 406.
        """
        media_type = choose_json(self._accepted)
        keys = self._asked.keys
        for keyword, uid in fixed.items():
            setattr(keys, keyword, uid)
        matches = self._matches(level, keys)
        record_query(self._parts, self._principal, self._request, f"{level.value} {keys_text(keys)}")
        headers = warning_header(self._warnings(level, found=len(matches)))
        if not matches:
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
        content = [self._located(level, match) for match in matches[: self._limit]]
        return Response(json.dumps(content, ensure_ascii=False), media_type=media_type, headers=headers)

    def _matches(self, level: Level, keys: Dataset) -> list[Dataset]:
        """Return the matches of this page, and one more where there is one."""
        if self._limit == 0:
            return []
        try:
            with self._parts.read_sessions() as session:
                return search(
                    session, level, keys, self._principal, limit=self._limit + 1, offset=self._offset
                )
        except InvalidInput as error:
            raise ApiError(HTTPStatus.BAD_REQUEST, str(error)) from error

    def _warnings(self, level: Level, *, found: int) -> list[str]:
        warnings = [*self._asked.warnings]
        if unmatched := unmatched_keys(level, self._asked.keys):
            warnings.append(unmatched_warning(unmatched))
        if found > self._limit:
            warnings.append(TOO_MANY)
        return warnings

    def _located(self, level: Level, match: Dataset) -> dict[str, Any]:
        match.RetrieveURL = self._url(level, match)
        match.InstanceAvailability = ONLINE
        content: dict[str, Any] = match.to_json_dict(suppress_invalid_tags=True)
        return dict(sorted(content.items()))

    def _url(self, level: Level, match: Dataset) -> str:
        url = f"{studies_url(self._request)}/{match.StudyInstanceUID}"
        if level is Level.STUDY:
            return url
        url = f"{url}/series/{match.SeriesInstanceUID}"
        return url if level is Level.SERIES else f"{url}/instances/{match.SOPInstanceUID}"


SearcherOf = Annotated[Searcher, Depends()]


@router.get("/studies", summary="Search for studies (QIDO-RS)", response_class=Response, responses=_ANSWERS)
def search_studies(searcher: SearcherOf) -> Response:
    """Find studies by PatientID, PatientName, StudyDate, AccessionNumber, ModalitiesInStudy and others."""
    return searcher.answer(Level.STUDY)


@router.get("/series", summary="Search for series (QIDO-RS)", response_class=Response, responses=_ANSWERS)
def search_series(searcher: SearcherOf) -> Response:
    """Find series of any study."""
    return searcher.answer(Level.SERIES)


@router.get(
    "/studies/{study_instance_uid}/series",
    summary="Search for series of a study",
    response_class=Response,
    responses=_ANSWERS,
)
def search_series_of_study(searcher: SearcherOf, study_instance_uid: StudyUid) -> Response:
    """Find series of one study."""
    return searcher.answer(Level.SERIES, StudyInstanceUID=study_instance_uid)


@router.get(
    "/instances", summary="Search for instances (QIDO-RS)", response_class=Response, responses=_ANSWERS
)
def search_instances(searcher: SearcherOf) -> Response:
    """Find instances of any study."""
    return searcher.answer(Level.IMAGE)


@router.get(
    "/studies/{study_instance_uid}/instances",
    summary="Search for instances of a study",
    response_class=Response,
    responses=_ANSWERS,
)
def search_instances_of_study(searcher: SearcherOf, study_instance_uid: StudyUid) -> Response:
    """Find instances of one study."""
    return searcher.answer(Level.IMAGE, StudyInstanceUID=study_instance_uid)


@router.get(
    "/studies/{study_instance_uid}/series/{series_instance_uid}/instances",
    summary="Search for instances of a series",
    response_class=Response,
    responses=_ANSWERS,
)
def search_instances_of_series(
    searcher: SearcherOf, study_instance_uid: StudyUid, series_instance_uid: SeriesUid
) -> Response:
    """Find instances of one series."""
    return searcher.answer(
        Level.IMAGE, StudyInstanceUID=study_instance_uid, SeriesInstanceUID=series_instance_uid
    )


def keys_text(keys: Dataset) -> str:
    """Return the keys with a value, for the audit trail."""
    return "&".join(f"{element.keyword or element.tag}={element.value}" for element in keys if element.value)
