"""Problems: every error of the API as application/problem+json (RFC 9457), with a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from core.errors import Defect, Transient
from core.logs import logger
from service.api.templates import methods_at, route_path

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """The body of every error."""

    type: str = "about:blank"
    title: str
    """Of the status code."""
    status: int
    detail: str
    """What was found and what was expected."""


class ApiError(Exception):
    """Ends a request with a problem.

    Parameters
    ----------
    status
        HTTP status.
    detail
        A sentence that names what was found and what was expected.
    """

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def problem_response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return a problem as a response."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return JSONResponse(body.model_dump(), status_code=status, headers=headers, media_type=MEDIA_TYPE)


def problem_responses(
    *statuses: HTTPStatus, model: type[Problem] = Problem
) -> dict[int | str, dict[str, Any]]:
    """Describe problems for OpenAPI; what ``model`` holds must be among the replies' schemas as well."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return {
        status.value: {"description": status.phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def install_problem_handlers(app: FastAPI) -> None:
    """Turn the exceptions a request is known to end with into problems."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(OperationalError, _unavailable)
    app.add_exception_handler(Transient, _unavailable)
    app.add_exception_handler(Defect, _defect)


def _api_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)  # noqa: S101 - registered for this class
    return problem_response(error.status, error.detail)


def _invalid_request(_request: Request, error: Exception) -> JSONResponse:
    """Name the wrong parts without repeating their values: a body can hold a patient's id."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    wrong = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())
    return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, wrong)


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        methods = methods_at(request.app, route_path(request.scope))
        headers |= {"Allow": ", ".join(sorted(methods))} if methods else {}
    return problem_response(error.status_code, str(error.detail), headers)


def _unavailable(_request: Request, error: Exception) -> JSONResponse:
    logger().error("request failed for now", error=type(error).__name__)
    return problem_response(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the database or the disk does not answer at present; try again",
        {"Retry-After": "5"},
    )


def _defect(_request: Request, error: Exception) -> JSONResponse:
    logger().error("defect", error=str(error))
    return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, f"the service found a defect: {error}")
