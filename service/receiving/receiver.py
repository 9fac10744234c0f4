"""Storage SCP and C-ECHO: the door the PACS routes studies to."""

from __future__ import annotations

import contextlib
import logging
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

from core.errors import Transient
from core.headers import ENHANCED_MR_IMAGE_STORAGE, MR_IMAGE_STORAGE
from core.logs import logger
from core.settings import ReceiverSettings
from core.study_store import StudyStore
from core.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, is_acceptable_uid
from service.receiving.association_server import AssociationServer, SpoolingHandler
from service.receiving.dicom_service import DicomService
from service.receiving.ingest import Ingest
from service.receiving.instance_file import RefusalReason
from service.receiving.reception import Reception, ReceptionKind
from service.receiving.spool import SpooledDataSet, SpoolingProvider

VERIFICATION = "1.2.840.10008.1.1"

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DATA_SET_DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
PROCESSING_FAILURE = 0x0110
"""Status codes of the Storage service, PS3.4 B.2.3."""

MISMATCHES = frozenset({RefusalReason.SOP_CLASS_MISMATCH, RefusalReason.SOP_INSTANCE_MISMATCH})

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
    """

    def __init__(
        self,
        settings: ReceiverSettings,
        ingest: Ingest,
        store: StudyStore,
        services: Sequence[DicomService] = (),
    ) -> None:
        self._settings = settings
        self._services = tuple(services)
        self._ingest = ingest
        self._store = store
        self._server: AssociationServer | None = None

    def start(self) -> threading.Thread:
        """Listen in a thread of its own; return it, it lives until ``stop``.

        Raises
        ------
        OSError
            The address is taken or not ours.
        """
        _silence_pynetdicom()
        made = _entity(self._settings, self._services).make_server(
            (self._settings.host, self._settings.port),
            ae_title=self._settings.ae_title,
            evt_handlers=[
                (evt.EVT_C_STORE, self._on_store),
                (evt.EVT_C_ECHO, lambda _event: SUCCESS),
                (evt.EVT_CONN_CLOSE, _on_close),
                (evt.EVT_REJECTED, _on_rejected),
                *(handler for service in self._services for handler in service.handlers),
            ],
            server_class=AssociationServer,
            request_handler=SpoolingHandler,
        )
        server = cast("AssociationServer", made)  # what server_class asks for
        server.store, server.settings = self._store, self._settings
        server.ae._servers.append(server)
        self._server = server
        thread = threading.Thread(
            target=server.serve_forever, args=(STOP_POLL_S,), name="receiver", daemon=True
        )
        thread.start()
        logger().info("receiver listens", host=self._settings.host, port=self._settings.port)
        return thread

    def stop(self) -> None:
        """Accept nothing more, let running associations finish, then close."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.shutdown()
        deadline = time.monotonic() + SHUTDOWN_GRACE_S
        for association in server.active_associations:
            if not association.is_established:
                association.dul.kill_dul()  # nothing was promised to a silent peer
                continue
            association.join(timeout=max(0.0, deadline - time.monotonic()))
            if association.is_established:
                association.abort()

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
        if not isinstance(spooled, SpooledDataSet) or not is_acceptable_uid(
            str(request.AffectedSOPInstanceUID)
        ):
            logger().warning("object refused: invalid UID or no data set in the request")
            return CANNOT_UNDERSTAND
        try:
            path = spooled.finish()
        except OSError as error:
            raise Transient(f"the data set could not be written: {error}") from error
        requestor = event.assoc.requestor
        reception = self._ingest.accept(
            path,
            sop_class_uid=str(request.AffectedSOPClassUID),
            sop_instance_uid=str(request.AffectedSOPInstanceUID),
            transfer_syntax_uid=str(event.context.transfer_syntax),
            calling_ae_title=str(requestor.ae_title),
            peer_address=str(requestor.address_info.address if requestor.address_info else ""),
        )
        return status_of(reception)


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
        *_contexts(settings),
        *(context for service in services for context in service.contexts),
    ]
    entity.require_called_aet = True
    entity.require_calling_aet = list(settings.calling_ae_titles)
    entity.maximum_associations = settings.maximum_associations
    entity.maximum_pdu_size = settings.maximum_pdu_bytes
    entity.acse_timeout = settings.acse_timeout_s
    entity.dimse_timeout = settings.dimse_timeout_s
    entity.network_timeout = settings.network_timeout_s
    return entity


def _contexts(settings: ReceiverSettings) -> list[PresentationContext]:
    analysed = [MR_IMAGE_STORAGE, ENHANCED_MR_IMAGE_STORAGE]
    every: list[str | UID] = [*LOSSLESS_TRANSFER_SYNTAXES, *LOSSY_TRANSFER_SYNTAXES]
    lossless: list[str | UID] = [*LOSSLESS_TRANSFER_SYNTAXES]
    contexts = [build_context(VERIFICATION)]
    contexts += [build_context(uid, lossless) for uid in analysed]
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


def _on_close(event: evt.Event) -> None:
    """Remove what an association left half received."""
    if isinstance(event.assoc.dimse, SpoolingProvider):
        event.assoc.dimse.discard_unfinished()


def _on_rejected(event: evt.Event) -> None:
    logger().warning(
        "association rejected",
        calling_ae_title=str(event.assoc.requestor.ae_title),
        called_ae_title=str(getattr(event.assoc.requestor.primitive, "called_ae_title", "")),
    )
