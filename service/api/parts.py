"""What the routes need, put together by service/main/ and handed to each request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from celery import Celery
from fastapi import Depends, Request
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from core.audit import Audit
from core.clock import Clock
from core.database import Sessions
from core.destinations import Destination
from core.settings import AccessSettings, ApiSettings
from core.study_store import StudyStore
from service.access.gate import Gate
from service.access.login import Login
from service.access.principal import EVERYBODY, Principal


@dataclass(frozen=True, slots=True)
class ApiParts:
    """Everything REST works with.

    Parameters
    ----------
    sessions, read_sessions
        Transactions that write, and such that only read.
    destinations
        Where results are pushed to.
    minimum_free_bytes
        Below this much free disk the service is not ready (the receiver refuses instances then).
    software_version
        metserve's own version.
    settings, access
        How much REST takes, and how browsers log in.
    gate
        Who is let in.
    keep_other_storage_classes
        Whether STOW-RS takes objects that are no MR, as the receiver does.
    login, session_key
        How people log in with a browser (None: not at all), and what signs the cookie of it.
    """

    engine: Engine
    sessions: Sessions
    read_sessions: Sessions
    store: StudyStore
    broker: Celery
    clock: Clock
    destinations: tuple[Destination, ...]
    minimum_free_bytes: int
    software_version: str
    registry: CollectorRegistry
    audit: Audit
    settings: ApiSettings
    access: AccessSettings
    gate: Gate
    keep_other_storage_classes: bool = True
    login: Login | None = None
    session_key: str = field(default="", repr=False)

    @property
    def destination_names(self) -> tuple[str, ...]:
        """The destinations' names, in the settings' order."""
        return tuple(destination.name for destination in self.destinations)


def parts_of(request: Request) -> ApiParts:
    """Return the parts of the application a request came to."""
    parts = request.app.state.parts
    if not isinstance(parts, ApiParts):
        raise TypeError(f"the application's parts are {type(parts).__name__}, expected ApiParts")
    return parts


PartsOf = Annotated[ApiParts, Depends(parts_of)]


def principal_of(request: Request) -> Principal:
    """Return who asks: put on the request by the guard, everybody when no access is configured."""
    principal = getattr(request.state, "principal", EVERYBODY)
    if not isinstance(principal, Principal):
        raise TypeError(f"the request's principal is {type(principal).__name__}, expected Principal")
    return principal


PrincipalOf = Annotated[Principal, Depends(principal_of)]
