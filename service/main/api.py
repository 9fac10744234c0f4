"""Composition of the API role: REST and DICOMweb."""

from __future__ import annotations

import threading
from importlib.metadata import version

import uvicorn

from core.clock import utc_now
from core.errors import Transient
from core.logs import configure_logs
from core.settings import ApiSettings, CommonSettings, DeliverySettings, ReceiverSettings
from core.signals import stop_on_signals
from service.api.app import create_app
from service.api.metrics import DatabaseCollector, open_registry
from service.api.parts import ApiParts
from service.main.parts import SERVER_POLL_S, Parts, open_parts

SHUTDOWN_GRACE_S = 10
"""How long requests under way may still take once the API is told to stop."""


def run_api(
    common: CommonSettings,
    api_settings: ApiSettings,
    delivery_settings: DeliverySettings,
    receiver_settings: ReceiverSettings,
    stop: threading.Event | None = None,
) -> None:
    """Serve REST until ``stop`` is set (default: SIGTERM, SIGINT); requests under way are finished."""
    configure_logs(common, "api")
    stop = stop or stop_on_signals()
    parts = open_parts(common)
    app = create_app(
        open_api_parts(parts, delivery_settings, receiver_settings), root_path=api_settings.root_path
    )
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=api_settings.host,
            port=api_settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
        )
    )
    serve_until(server, stop)


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


def open_api_parts(
    parts: Parts, delivery_settings: DeliverySettings, receiver_settings: ReceiverSettings
) -> ApiParts:
    """Put together what the routes work with."""
    names = tuple(destination.name for destination in delivery_settings.destinations)
    return ApiParts(
        engine=parts.engine,
        sessions=parts.sessions,
        read_sessions=parts.read_sessions,
        store=parts.store,
        broker=parts.broker,
        clock=utc_now,
        destinations=delivery_settings.destinations,
        minimum_free_bytes=receiver_settings.minimum_free_bytes,
        software_version=version("metserve"),
        registry=open_registry(DatabaseCollector(parts.read_sessions, parts.store, utc_now, names)),
    )
