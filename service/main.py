"""Composition root of the service: the only module here that builds things."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from uuid import uuid4

import httpx
import uvicorn
from celery import Celery
from prometheus_client import REGISTRY, start_http_server
from sqlalchemy import Engine

from core import schema
from core.broker import open_broker
from core.clock import utc_now
from core.database import DEFAULT_CONNECTIONS, Sessions, open_engine, open_sessions
from core.errors import Transient
from core.headers import quiet_pydicom
from core.logs import configure_logs, logger
from core.settings import ApiSettings, AssemblySettings, CommonSettings, DeliverySettings, ReceiverSettings
from core.signals import stop_on_signals
from core.study_store import StudyStore
from service.alerts import WEBHOOK_TIMEOUT_S, Alerts
from service.api.app import create_app
from service.api.metrics import DatabaseCollector, open_registry
from service.api.parts import ApiParts
from service.delivery.courier import Courier
from service.jobs import Coordinator
from service.receiving.ingest import Ingest
from service.receiving.receiver import Receiver
from service.receiving.store_lock import sole_receiver


@dataclass(frozen=True, slots=True)
class Parts:
    """What every role of the service works with."""

    store: StudyStore
    engine: Engine
    sessions: Sessions
    read_sessions: Sessions
    broker: Celery


SERVER_POLL_S = 0.2
"""How soon the stop signal, or a server's own end, is noticed."""

OWN_CONNECTIONS = 5
"""Database connections the receive role needs beside one for each association."""


def open_parts(common: CommonSettings, *, connections: int = DEFAULT_CONNECTIONS) -> Parts:
    """Open store, database (brought to the present schema) and broker."""
    quiet_pydicom()
    store = StudyStore(common.data_dir)
    engine = open_engine(common.resolved_database_url, connections=connections)
    schema.upgrade(engine)
    return Parts(
        store=store,
        engine=engine,
        sessions=open_sessions(engine),
        read_sessions=open_sessions(engine, read_only=True),
        broker=open_broker(common),
    )


def run_receiver(
    common: CommonSettings,
    receiver_settings: ReceiverSettings,
    assembly_settings: AssemblySettings,
    stop: threading.Event | None = None,
) -> None:
    """Receive studies and turn them into jobs, until ``stop`` is set (default: SIGTERM, SIGINT).

    Raises
    ------
    InvalidInput
        Another receiver works on this study store.
    Transient
        The server or the coordinator ended by itself.
    """
    configure_logs(common, "receiver")
    stop = stop or stop_on_signals()
    parts = open_parts(common, connections=receiver_settings.maximum_associations + OWN_CONNECTIONS)
    with (
        sole_receiver(parts.store, stop),
        httpx.Client(timeout=WEBHOOK_TIMEOUT_S) as http,
        served_metrics(receiver_settings),
    ):
        coordinator = open_coordinator(parts, assembly_settings, common, http)
        receive_and_assemble(open_receiver(parts, receiver_settings), coordinator, stop)


def open_receiver(parts: Parts, settings: ReceiverSettings) -> Receiver:
    """Clear up after the receiver before and build the next."""
    keep_others = settings.keep_other_storage_classes
    ingest = Ingest(parts.store, parts.sessions, utc_now, keep_other_storage_classes=keep_others)
    recover(parts.store, ingest)
    return Receiver(settings, ingest, parts.store)


def receive_and_assemble(receiver: Receiver, coordinator: Coordinator, stop: threading.Event) -> None:
    """Run receiver and coordinator side by side until told to stop, or until one of them ends.

    Raises
    ------
    Transient
        One of them ended by itself; both are stopped, so that the role can be started again.
    """
    assembly = threading.Thread(target=coordinator.run, args=(stop,), name="coordinator")
    listening = receiver.start()
    assembly.start()
    try:
        wait_while_alive((listening, assembly), stop)
    finally:
        stop.set()
        receiver.stop()
        assembly.join()


def wait_while_alive(threads: Sequence[threading.Thread], stop: threading.Event) -> None:
    """Wait until told to stop.

    Raises
    ------
    Transient
        A thread ended before.
    """
    while not stop.wait(SERVER_POLL_S):
        for thread in threads:
            if not thread.is_alive() and not stop.is_set():
                raise Transient(f"the {thread.name} ended; expected it to run until told to stop")


@contextmanager
def served_metrics(settings: ReceiverSettings) -> Iterator[None]:
    """Serve this process' counters to Prometheus, if the settings name a port for it.

    Raises
    ------
    Transient
        The port is taken.
    """
    if settings.metrics_port == 0:
        yield
        return
    try:
        server, thread = start_http_server(settings.metrics_port, settings.host, REGISTRY)
    except OSError as error:
        where = f"{settings.host}:{settings.metrics_port}"
        raise Transient(f"metrics cannot be served at {where}: {error.strerror}") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def recover(store: StudyStore, ingest: Ingest) -> None:
    """Clear up what a killed process left: half-written files, and files without a record."""
    swept = store.sweep_temporary()
    adopted = ingest.adopt_orphans()
    if swept or adopted:
        logger().info("recovered after an unclean stop", unfinished_files=swept, adopted_files=adopted)


def open_coordinator(
    parts: Parts, settings: AssemblySettings, common: CommonSettings, http: httpx.Client
) -> Coordinator:
    """Build the coordinator that turns received studies into jobs."""
    return Coordinator(
        parts.sessions,
        parts.read_sessions,
        parts.broker,
        parts.store,
        settings,
        utc_now,
        new_job_id=lambda: uuid4().hex,
        alerts=Alerts(parts.sessions, parts.read_sessions, common.alert_webhook_url, http, utc_now, REGISTRY),
    )


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


def run_delivery(
    common: CommonSettings, settings: DeliverySettings, stop: threading.Event | None = None
) -> None:
    """Push results to the destinations until ``stop`` is set (default: SIGTERM, SIGINT)."""
    configure_logs(common, "delivery")
    stop = stop or stop_on_signals()
    parts = open_parts(common)
    courier = Courier(
        sessions=parts.sessions,
        read_sessions=parts.read_sessions,
        store=parts.store,
        settings=settings,
        clock=utc_now,
        jitter=random.random,
    )
    courier.run(stop)
