"""The REST application: studies, jobs, results, health. No pixel work, no DICOM network."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware

from core.provenance import RESEARCH_USE_NOTICE
from service.access.policy import API as API_PREFIX
from service.api import audit, conditions, destinations, health, identity, jobs, login, results, studies
from service.api.admission import API_KEY_HEADER, AdmissionMiddleware, authorise, needs_credentials
from service.api.bodies import BodyLimitMiddleware
from service.api.dicomweb.accesses import Accesses
from service.api.dicomweb.router import install_dicomweb
from service.api.docs import install_docs
from service.api.middleware import ResponseMiddleware
from service.api.parts import ApiParts
from service.api.problems import install_problem_handlers, problem_responses
from service.api.templates import install_templates

ANY_REQUEST_MAY_FAIL = problem_responses(
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    HTTPStatus.INTERNAL_SERVER_ERROR,
)

ANY_ROUTE_MAY_FAIL = problem_responses(
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
"""Every guarded route checks who asks and what for, and asks the database."""

GUARDS = (Depends(needs_credentials),)
"""For OpenAPI; what lets nobody in is ``AdmissionMiddleware`` and ``authorise``."""

TOKEN_HEADERS = ("Accept", "Authorization", "Content-Type", API_KEY_HEADER)


def create_app(parts: ApiParts, *, root_path: str = "") -> FastAPI:
    """Return the application.

    Parameters
    ----------
    parts
        Everything the routes work with.
    root_path
        Path prefix that a reverse proxy strips.
    """
    app = FastAPI(
        title="metserve",
        summary="Brain metastases on SRS planning MRI: studies, jobs, lesions, results.",
        description=RESEARCH_USE_NOTICE,
        version=parts.software_version,
        root_path=root_path,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        responses=ANY_REQUEST_MAY_FAIL,
        dependencies=[Depends(authorise)],
    )
    app.state.parts = parts
    app.state.accesses = Accesses()
    app.include_router(_versioned(), prefix=API_PREFIX, dependencies=GUARDS, responses=ANY_ROUTE_MAY_FAIL)
    install_dicomweb(app, parts, guards=GUARDS, responses=ANY_ROUTE_MAY_FAIL)
    app.include_router(health.router)
    app.include_router(health.metrics_router, dependencies=GUARDS, responses=ANY_ROUTE_MAY_FAIL)
    app.include_router(login.router)
    app.include_router(login.logout_router, dependencies=GUARDS, responses=ANY_ROUTE_MAY_FAIL)
    install_docs(app)
    install_problem_handlers(app)
    _install_middleware(app, parts)
    install_templates(app)
    return app


def _versioned() -> APIRouter:
    router = APIRouter()
    for module in (studies, jobs, results, destinations, conditions, audit, identity):
        router.include_router(module.router)
    return router


def _install_middleware(app: FastAPI, parts: ApiParts) -> None:
    """Let a request pass, from the last named here to the first: answer, body, origin, cookie, gate."""
    app.add_middleware(
        AdmissionMiddleware,
        gate=parts.gate,
        clock=parts.clock,
        metrics_open=parts.access.metrics_open,
        logs_in=parts.login is not None,
    )
    login.install_session(app, parts)
    if parts.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=parts.settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=TOKEN_HEADERS,
        )
    app.add_middleware(BodyLimitMiddleware, settings=parts.settings)
    app.add_middleware(ResponseMiddleware, registry=parts.registry)
