"""Health, metrics, version: for supervisors and Prometheus. No patient data."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from pydantic import BaseModel

from core.schema import head_revision
from service.api.models import Reply
from service.api.parts import PartsOf
from service.api.problems import MEDIA_TYPE, Problem, problem_responses
from service.api.readiness import Check, check_readiness

router = APIRouter(tags=["health"])
metrics_router = APIRouter(tags=["health"])


class LiveReply(BaseModel):
    """The process answers."""

    status: Literal["live"] = "live"


class ReadyReply(BaseModel):
    """Everything the service needs is there."""

    status: Literal["ready"] = "ready"
    checks: tuple[Check, ...]


class NotReady(Problem):
    """A problem that holds each check."""

    checks: tuple[Check, ...]


class VersionReply(Reply):
    """Which software this is."""

    name: Literal["metserve"] = "metserve"
    version: str
    schema_revision: str | None
    """Of the database, as this software expects it."""


@router.get("/health/live", summary="Is the process alive?")
def live() -> LiveReply:
    """Answer; a process that does not is to be restarted."""
    return LiveReply()


@router.get(
    "/health/ready",
    summary="Can it work: database, store, broker?",
    response_model=ReadyReply,
    responses=problem_responses(HTTPStatus.SERVICE_UNAVAILABLE, model=NotReady),
)
def ready(parts: PartsOf) -> ReadyReply | Response:
    """Look at database, store and broker."""
    checks = check_readiness(parts.engine, parts.store, parts.broker, parts.minimum_free_bytes)
    failed = [check for check in checks if not check.passed]
    if not failed:
        return ReadyReply(checks=checks)
    status = HTTPStatus.SERVICE_UNAVAILABLE
    body = NotReady(
        title=status.phrase,
        status=status,
        detail="; ".join(f"{check.name} {check.detail}" for check in failed),
        checks=checks,
    )
    return JSONResponse(body.model_dump(mode="json"), status_code=status, media_type=MEDIA_TYPE)


@metrics_router.get("/metrics", summary="For Prometheus", response_class=Response)
def metrics(parts: PartsOf) -> Response:
    """Give the metrics of this process and what the database says now."""
    return Response(
        generate_latest(REGISTRY) + generate_latest(parts.registry), media_type=CONTENT_TYPE_LATEST
    )


@router.get("/version", summary="Software and schema version")
def version(parts: PartsOf) -> VersionReply:
    """Say which software this is."""
    return VersionReply(version=parts.software_version, schema_revision=head_revision())
