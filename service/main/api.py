"""Composition of the API role: REST and DICOMweb."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from importlib.metadata import version

import uvicorn

from core.audit import Audit
from core.clock import utc_now
from core.errors import Transient
from core.logs import configure_logs
from core.settings import (
    AccessSettings,
    ApiSettings,
    AuditSettings,
    CommonSettings,
    DeliverySettings,
    ReceiverSettings,
)
from core.signals import stop_on_signals
from service.access.exposure import check_exposure
from service.api.app import create_app
from service.api.metrics import DatabaseCollector, open_registry
from service.api.parts import ApiParts
from service.main.access import Access, open_access, open_http
from service.main.http_server import open_server
from service.main.parts import SERVER_POLL_S, Parts, audited, open_parts


@dataclass(frozen=True, slots=True)
class ApiRoleSettings:
    """Every setting that the API role reads."""

    common: CommonSettings
    api: ApiSettings
    access: AccessSettings
    delivery: DeliverySettings
    receiver: ReceiverSettings
    audit: AuditSettings


def run_api(settings: ApiRoleSettings, stop: threading.Event | None = None) -> None:
    """Serve REST until ``stop`` is set (default: SIGTERM, SIGINT); requests under way are finished.

    Raises
    ------
    InvalidInput
        REST would be open to strangers.
    """
    configure_logs(settings.common, "api")
    check_exposure(settings.api, settings.access)
    stop = stop or stop_on_signals()
    parts = open_parts(settings.common)
    with open_http(settings.access) as http, audited(parts, settings.audit, "api") as audit:
        access = open_access(parts, settings.common, settings.api, settings.access, audit, http)
        app = create_app(open_api_parts(parts, settings, access, audit), root_path=settings.api.root_path)
        serve_until(open_server(app, settings.api), stop)


def serve_until(server: uvicorn.Server, stop: threading.Event) -> None:
    """Run a server in a thread of its own, where it leaves the signals alone, until told to stop.

    Raises
    ------
    Transient
        The server ended by itself, for instance because the port is taken.
    """
    thread = threading.Thread(target=server.run, name="api")
    thread.start()
    while thread.is_alive() and not stop.wait(SERVER_POLL_S):
        pass
    ended_by_itself = not stop.is_set()
    server.should_exit = True
    thread.join()
    if ended_by_itself:
        raise Transient(f"the API server ended; is port {server.config.port} taken?")


def open_api_parts(parts: Parts, settings: ApiRoleSettings, access: Access, audit: Audit) -> ApiParts:
    """Put together what the routes work with."""
    destinations = settings.delivery.destinations
    names = tuple(destination.name for destination in destinations)
    return ApiParts(
        engine=parts.engine,
        sessions=parts.sessions,
        read_sessions=parts.read_sessions,
        store=parts.store,
        broker=parts.broker,
        clock=utc_now,
        destinations=destinations,
        minimum_free_bytes=settings.receiver.minimum_free_bytes,
        software_version=version("metserve"),
        registry=open_registry(DatabaseCollector(parts.read_sessions, parts.store, utc_now, names)),
        audit=audit,
        settings=settings.api,
        access=settings.access,
        gate=access.gate,
        keep_other_storage_classes=settings.receiver.keep_other_storage_classes,
        login=access.login,
        session_key=access.session_key,
    )
