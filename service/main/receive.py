"""Composition of the receive role: the DICOM door, assembly, the queue's doorbell."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import httpx
from prometheus_client import REGISTRY, start_http_server

from core.audit import Audit
from core.clock import utc_now
from core.errors import Transient
from core.logs import configure_logs, logger
from core.settings import (
    AssemblySettings,
    AuditSettings,
    CommonSettings,
    DeliverySettings,
    ReceiverSettings,
    TlsSettings,
    load,
)
from core.signals import stop_on_signals
from core.study_store import StudyStore
from core.tls import acceptor_context, requestor_context
from service.alerts import WEBHOOK_TIMEOUT_S, Alerts
from service.catalogue.indexing import Indexer
from service.delivery.commitment import CommitmentAnswers
from service.jobs import Coordinator
from service.main.parts import SERVER_POLL_S, Parts, audited, open_parts
from service.receiving.dicom_service import DicomService
from service.receiving.ingest import Ingest
from service.receiving.receiver import Receiver
from service.receiving.store_lock import sole_receiver
from service.retrieval.addresses import address_book
from service.retrieval.commitment import CommitmentProvider, commitment_service
from service.retrieval.commitment_reports import CommitmentReports
from service.retrieval.find import QueryProvider
from service.retrieval.retrieve import RetrievalProvider
from service.upkeep.steps import Step, repeat

STEP_PAUSE_S = 1.0
"""Between two looks at what there is to index and to report."""

OWN_CONNECTIONS = 6
"""Database connections the receive role needs beside one for each association."""


@dataclass(frozen=True, slots=True)
class ReceiveRoleSettings:
    """Every setting that the receive role reads."""

    common: CommonSettings
    receiver: ReceiverSettings
    assembly: AssemblySettings
    tls: TlsSettings
    delivery: DeliverySettings
    audit: AuditSettings


def load_receive_settings(common: CommonSettings) -> ReceiveRoleSettings:
    """Read every setting of the role."""
    return ReceiveRoleSettings(
        common,
        load(ReceiverSettings),
        load(AssemblySettings),
        load(TlsSettings),
        load(DeliverySettings),
        load(AuditSettings),
    )


def run_receiver(
    settings: ReceiveRoleSettings,
    stop: threading.Event | None = None,
    further_doors: Callable[[threading.Event], None] = lambda _stop: None,
) -> None:
    """Receive studies and turn them into jobs, until ``stop`` is set (default: SIGTERM, SIGINT).

    Parameters
    ----------
    further_doors
        Runs the other receiving processes until the event is set; begun when what an unclean stop left is
        cleared up.

    Raises
    ------
    InvalidInput
        Another receiver works on this study store, or a TLS file cannot be used.
    Transient
        The server or the coordinator ended by itself.
    """
    configure_logs(settings.common, "receiver")
    stop = stop or stop_on_signals()
    parts = open_parts(settings.common, connections=settings.receiver.maximum_associations + OWN_CONNECTIONS)
    with (
        sole_receiver(parts.store, stop),
        httpx.Client(timeout=WEBHOOK_TIMEOUT_S) as http,
        served_metrics(settings.receiver),
        audited(parts, settings.audit, "receive") as audit,
    ):
        coordinator = open_coordinator(parts, settings.assembly, settings.common, http)
        receiver, steps = open_receiver(parts, settings, audit)
        beside = [
            threading.Thread(target=repeat, args=(steps, STEP_PAUSE_S, stop), name="door steps"),
            threading.Thread(target=further_doors, args=(stop,), name="further doors"),
        ]
        for thread in beside:
            thread.start()
        try:
            receive_and_assemble(receiver, coordinator, stop)
        finally:
            stop.set()
            for thread in beside:
                thread.join()


def run_door(settings: ReceiveRoleSettings, stop: threading.Event | None = None) -> None:
    """Receive beside the receive role, on the same ports, until ``stop`` is set (default: SIGTERM, SIGINT).

    The role itself clears up, assembles and keeps the index; this is a pair of hands more.
    """
    configure_logs(settings.common, "door")
    stop = stop or stop_on_signals()
    parts = open_parts(settings.common, connections=settings.receiver.maximum_associations + OWN_CONNECTIONS)
    with audited(parts, settings.audit, "door") as audit:
        receiver = build_receiver(parts, settings, audit, open_services(parts, settings, audit)[0])
        listening = receiver.start()
        try:
            wait_while_alive((listening,), stop)
        finally:
            receiver.stop()


def open_receiver(parts: Parts, settings: ReceiveRoleSettings, audit: Audit) -> tuple[Receiver, list[Step]]:
    """Clear up after the receiver before; build the next, and what is done regularly beside it."""
    recover(parts.store, open_ingest(parts, settings.receiver))
    services, steps = open_services(parts, settings, audit)
    return build_receiver(parts, settings, audit, services), steps


def open_ingest(parts: Parts, settings: ReceiverSettings) -> Ingest:
    """Build what takes objects in."""
    keep_others = settings.keep_other_storage_classes
    return Ingest(parts.store, parts.sessions, utc_now, keep_other_storage_classes=keep_others)


def build_receiver(
    parts: Parts, settings: ReceiveRoleSettings, audit: Audit, services: Sequence[DicomService]
) -> Receiver:
    """Build the DICOM door."""
    own = settings.receiver
    return Receiver(
        own,
        open_ingest(parts, own),
        parts.store,
        services,
        audit=audit,
        tls=acceptor_context(settings.tls) if own.tls_port else None,
        share_port=own.processes > 1,
    )


def open_services(
    parts: Parts, settings: ReceiveRoleSettings, audit: Audit
) -> tuple[list[DicomService], list[Step]]:
    """Build query, retrieval and storage commitment, and the steps that go with them."""
    ae_title = settings.receiver.ae_title
    tls = requestor_context(settings.tls) if settings.tls.authorities else None
    addresses = address_book(settings.receiver.peers, settings.delivery.destinations, tls)
    commitment = CommitmentProvider(parts.sessions, parts.store, addresses, utc_now)
    reports = CommitmentReports(ae_title, parts.sessions, parts.read_sessions, addresses, utc_now)
    answers = CommitmentAnswers(parts.sessions, utc_now, settings.delivery.commitment_tries)
    indexer = Indexer(parts.sessions, parts.read_sessions, parts.store, utc_now)
    services = [
        QueryProvider(ae_title, parts.read_sessions, audit).service(),
        RetrievalProvider(ae_title, parts.read_sessions, parts.store, addresses, audit).service(),
        commitment_service(commitment.on_action, answers.on_report),
    ]
    return services, [Step("index results", indexer.index_due), Step("report commitment", reports.report_due)]


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
