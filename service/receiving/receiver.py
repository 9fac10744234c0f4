"""Storage SCP and C-ECHO: the door the PACS routes studies to."""

from __future__ import annotations

import contextlib
import logging
import ssl
import threading
import time
from collections.abc import Sequence
from typing import cast

from prometheus_client import Counter
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import AE, AllStoragePresentationContexts, _config, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext, build_context

from core.audit import Audit, Unaudited
from core.errors import InvalidInput, Transient
from core.headers import ENHANCED_MR_IMAGE_STORAGE, MR_IMAGE_STORAGE
from core.job import Lane
from core.logs import logger
from core.peers import Right
from core.settings import ReceiverSettings
from core.study_store import StudyStore
from core.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, is_acceptable_uid
from service.receiving.association_server import AssociationServer, SpoolingHandler
from service.receiving.dicom_service import DicomService
from service.receiving.gate import Gate, caller_of
from service.receiving.ingest import Ingest
from service.receiving.instance_file import RefusalReason
from service.receiving.peer_rules import PeerRules
from service.receiving.reception import Reception, ReceptionKind
from service.receiving.spool import SpooledDataSet, SpoolingProvider
from service.receiving.visit import visit_of

VERIFICATION = "1.2.840.10008.1.1"

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DATA_SET_DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
PROCESSING_FAILURE = 0x0110
NOT_AUTHORIZED = 0x0124
"""Status codes of the Storage service, PS3.4 B.2.3."""

MISMATCHES = frozenset({RefusalReason.SOP_CLASS_MISMATCH, RefusalReason.SOP_INSTANCE_MISMATCH})

MAX_ECHOES = 1000
"""C-ECHO requests of one association; a monitor sends one."""

NO_LIMIT = 2**31
"""More associations than there can be."""

STOP_POLL_S = 0.1
"""How soon the server notices that it is to stop."""

SHUTDOWN_GRACE_S = 10.0
"""Associations may finish for so long when the receiver stops."""

LOSSLESS_TRANSFER_SYNTAXES: tuple[UID, ...] = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    RLELossless,
)
"""Neither Deflated (a bomb may hide in it) nor Big Endian (retired)."""

LOSSY_TRANSFER_SYNTAXES: tuple[UID, ...] = (
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    JPEG2000,
)
"""Accepted for objects that are kept and never analysed."""

STATUSES = Counter("metserve_c_store_responses", "C-STORE responses, by status.", ["status"])


class Receiver:
    """The Storage SCP.

    Parameters
    ----------
    ingest
        Takes each object in.
    store
        Objects grow in its temporary folder.
    services
        What else peers may ask at this door: query, retrieval, storage commitment.
    audit
        Gets refusals, and what every association brought.
    tls
        What TLS peers are shown and asked for; None: no TLS port.
    share_port
        Other processes of this host listen on the same ports.
    """

    def __init__(
        self,
        settings: ReceiverSettings,
        ingest: Ingest,
        store: StudyStore,
        services: Sequence[DicomService] = (),
        *,
        audit: Audit | None = None,
        tls: ssl.SSLContext | None = None,
        share_port: bool = False,
    ) -> None:
        self._settings = settings
        self._services = tuple(services)
        self._audit: Audit = audit or Unaudited()
        self._tls = tls
        self._share_port = share_port
        self._ingest = ingest
        self._store = store
        self._servers: list[AssociationServer] = []

    def start(self) -> threading.Thread:
        """Listen in threads of their own; return one of them, it lives until ``stop``.

        Raises
        ------
        OSError
            An address is taken or not ours.
        InvalidInput
            Neither a plain nor a TLS port is to be served.
        """
        _silence_pynetdicom()
        settings = self._settings
        doors: list[tuple[int, ssl.SSLContext | None]] = [(settings.port, None)] if settings.plain else []
        if self._tls is not None and settings.tls_port:
            doors.append((settings.tls_port, self._tls))
        if not doors:
            raise InvalidInput(
                "METSERVE_RECEIVER_PLAIN is false and METSERVE_RECEIVER_TLS_PORT is 0: there is no port"
            )
        gate = self._gate()
        threads = [self._listen(port, tls, gate) for port, tls in doors]
        return threads[0]

    def stop(self) -> None:
        """Accept nothing more, let running associations finish, then close."""
        servers, self._servers = self._servers, []
        for server in servers:
            server.shutdown()
        deadline = time.monotonic() + SHUTDOWN_GRACE_S
        for association in [one for server in servers for one in server.active_associations]:
            if not association.is_established:
                association.dul.kill_dul()  # nothing was promised to a silent peer
                continue
            association.join(timeout=max(0.0, deadline - time.monotonic()))
            if association.is_established:
                association.abort()

    def _gate(self) -> Gate:
        settings = self._settings
        contexts: dict[Right, list[PresentationContext]] = {right: [] for right in Right}
        contexts[Right.ECHO].append(build_context(VERIFICATION))
        for service in self._services:
            contexts[service.right].extend(service.contexts)
        storage, rules = _storage_contexts(settings), PeerRules(settings)
        return Gate(rules, storage, contexts, self._store, settings.minimum_free_bytes, self._audit)

    def _listen(self, port: int, tls: ssl.SSLContext | None, gate: Gate) -> threading.Thread:
        host = self._settings.host
        made = _entity(self._settings, self._services).make_server(
            (host, port),
            ae_title=self._settings.ae_title,
            ssl_context=tls,
            evt_handlers=[
                (evt.EVT_C_STORE, self._on_store),
                (evt.EVT_C_ECHO, _on_echo),
                (evt.EVT_CONN_CLOSE, self._on_close),
                *(handler for service in self._services for handler in service.handlers),
            ],
            server_class=AssociationServer,
            request_handler=SpoolingHandler,
            settings=self._settings,
            store=self._store,
            gate=gate,
            share_port=self._share_port,
        )
        server = cast("AssociationServer", made)  # what server_class asks for
        server.ae._servers.append(server)
        self._servers.append(server)
        name = "receiver" if tls is None else "receiver-tls"
        thread = threading.Thread(target=server.serve_forever, args=(STOP_POLL_S,), name=name, daemon=True)
        thread.start()
        logger().info("receiver listens", host=host, port=port, tls=tls is not None)
        return thread

    def _on_store(self, event: evt.Event) -> int:
        """Answer a C-STORE; never raises."""
        request = cast("C_STORE", event.request)
        try:
            status = self._store_spooled(event, request)
        except Transient as error:
            logger().error("object not stored, the sender may try again", error=str(error))
            status = OUT_OF_RESOURCES
        except Exception:  # noqa: BLE001 - an exception here would leave the peer without an answer
            logger().exception("a C-STORE failed")
            status = PROCESSING_FAILURE
        finally:
            if isinstance(request.DataSet, SpooledDataSet):
                with contextlib.suppress(OSError):
                    request.DataSet.discard()
        STATUSES.labels(f"0x{status:04X}").inc()
        return status

    def _store_spooled(self, event: evt.Event, request: C_STORE) -> int:
        spooled = request.DataSet
        if Right.STORE not in visit_of(event.assoc).admission.rights:
            logger().warning("object refused: this peer may not store")
            return NOT_AUTHORIZED
        if not isinstance(spooled, SpooledDataSet) or not is_acceptable_uid(
            str(request.AffectedSOPInstanceUID)
        ):
            logger().warning("object refused: invalid UID or no data set in the request")
            return CANNOT_UNDERSTAND
        try:
            path = spooled.finish()
        except OSError as error:
            raise Transient(f"the data set could not be written: {error}") from error
        caller, visit = caller_of(event.assoc), visit_of(event.assoc)
        peer = visit.admission.peer
        reception = self._ingest.accept(
            path,
            sop_class_uid=str(request.AffectedSOPClassUID),
            sop_instance_uid=str(request.AffectedSOPInstanceUID),
            transfer_syntax_uid=str(event.context.transfer_syntax),
            calling_ae_title=caller.ae_title,
            peer_address=caller.address,
            lane=peer.lane if peer is not None else Lane.ROUTINE,
        )
        if reception.file is not None:
            visit.arrivals.add(reception.file)
        return status_of(reception)

    def _on_close(self, event: evt.Event) -> None:
        """Remove what an association left half received, and put what it brought into the audit trail."""
        if isinstance(event.assoc.dimse, SpoolingProvider):
            event.assoc.dimse.discard_unfinished()
        arrived = visit_of(event.assoc).arrivals.taken(caller_of(event.assoc), self._settings.ae_title)
        if arrived is not None:
            self._audit.record(arrived)


def status_of(reception: Reception) -> int:
    """Return the C-STORE status that answers a reception (PS3.4 B.2.3)."""
    if reception.kind is not ReceptionKind.REFUSED:
        return SUCCESS
    return DATA_SET_DOES_NOT_MATCH if reception.reason in MISMATCHES else CANNOT_UNDERSTAND


def _entity(settings: ReceiverSettings, services: Sequence[DicomService] = ()) -> AE:
    entity = AE(settings.ae_title)
    entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.supported_contexts = [
        build_context(VERIFICATION),
        *_storage_contexts(settings),
        *(context for service in services for context in service.contexts),
    ]
    entity.require_called_aet = True
    entity.maximum_associations = NO_LIMIT  # the gate counts: silent connections must not
    entity.maximum_pdu_size = settings.maximum_pdu_bytes
    entity.acse_timeout = settings.acse_timeout_s
    entity.dimse_timeout = settings.dimse_timeout_s
    entity.network_timeout = settings.network_timeout_s
    return entity


def _storage_contexts(settings: ReceiverSettings) -> list[PresentationContext]:
    analysed = [MR_IMAGE_STORAGE, ENHANCED_MR_IMAGE_STORAGE]
    every: list[str | UID] = [*LOSSLESS_TRANSFER_SYNTAXES, *LOSSY_TRANSFER_SYNTAXES]
    lossless: list[str | UID] = [*LOSSLESS_TRANSFER_SYNTAXES]
    contexts = [build_context(uid, lossless) for uid in analysed]
    if settings.keep_other_storage_classes:
        others = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
        contexts += [build_context(uid, every) for uid in others if uid not in analysed]
    return contexts


def _silence_pynetdicom() -> None:
    """Keep UIDs and identifiers of patients out of the logs; we log what matters ourselves."""
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)


def _on_echo(event: evt.Event) -> int:
    """Answer a C-ECHO; a flood of them ends the association."""
    visit = visit_of(event.assoc)
    visit.echoes += 1
    if visit.echoes > MAX_ECHOES:
        logger().warning("association aborted: too many C-ECHO requests", limit=MAX_ECHOES)
        event.assoc.abort()
    return SUCCESS
