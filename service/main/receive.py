"""Composition of the receive role: the DICOM door, assembly, the queue's doorbell."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid4

import httpx
from prometheus_client import REGISTRY, start_http_server

from core.clock import utc_now
from core.errors import Transient
from core.logs import configure_logs, logger
from core.settings import AssemblySettings, CommonSettings, ReceiverSettings
from core.signals import stop_on_signals
from core.study_store import StudyStore
from service.alerts import WEBHOOK_TIMEOUT_S, Alerts
from service.jobs import Coordinator
from service.main.parts import SERVER_POLL_S, Parts, open_parts
from service.receiving.ingest import Ingest
from service.receiving.receiver import Receiver
from service.receiving.store_lock import sole_receiver

OWN_CONNECTIONS = 5
"""Database connections the receive role needs beside one for each association."""


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
