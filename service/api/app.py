"""The REST application: studies, jobs, results, health. No pixel work, no DICOM network."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from fastapi import APIRouter, FastAPI
from fastapi.params import Depends

from core.provenance import RESEARCH_USE_NOTICE
from service.api import destinations, health, jobs, results, studies
from service.api.dicomweb.router import install_dicomweb
from service.api.docs import install_docs
from service.api.middleware import ResponseMiddleware
from service.api.parts import ApiParts
from service.api.problems import install_problem_handlers, problem_responses

API_PREFIX = "/api/v1"

ANY_ROUTE_MAY_FAIL = problem_responses(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE)
"""Every route under the prefix checks what it is asked, and asks the database."""


def create_app(parts: ApiParts, *, root_path: str = "", guards: Sequence[Depends] = ()) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    parts
        Everything the routes work with.
    root_path
        Path prefix that a reverse proxy strips.
    guards
        Dependencies every route under /api/v1 runs first: the place of authentication. Health,
        metrics and version stay open; they hold no patient data.
    """
    app = FastAPI(
        title="metserve",
        summary="Brain metastases on SRS planning MRI: studies, jobs, lesions, results.",
        description=RESEARCH_USE_NOTICE,
        version=parts.software_version,
        root_path=root_path,
        docs_url=None,
        redoc_url=None,
        responses=problem_responses(HTTPStatus.INTERNAL_SERVER_ERROR),
    )
    app.state.parts = parts
    app.include_router(_versioned(), prefix=API_PREFIX, dependencies=guards, responses=ANY_ROUTE_MAY_FAIL)
    install_dicomweb(app, parts, guards=guards, responses=ANY_ROUTE_MAY_FAIL)
    app.include_router(health.router)
    install_docs(app)
    install_problem_handlers(app)
    app.add_middleware(ResponseMiddleware, registry=parts.registry)
    return app


def _versioned() -> APIRouter:
    router = APIRouter()
    for module in (studies, jobs, results, destinations):
        router.include_router(module.router)
    return router
