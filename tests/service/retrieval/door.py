"""A DICOM door with query, retrieval and storage commitment alone, and a peer that knocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLosslessSV1, MRImageStorage
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association

from core.audit import AuditEvent
from service.receiving.dicom_service import DicomService
from service.retrieval.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE

AE_TITLE = "METSERVE"
PEER = "VIEWER"
SYNTAXES: tuple[str, ...] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLosslessSV1)


@dataclass
class CollectedAudit:
    """An audit trail in memory."""

    events: list[AuditEvent] = field(default_factory=list)

    def record(self, event: AuditEvent) -> None:
        self.events.append(event)


@contextmanager
def serving(*services: DicomService) -> Iterator[int]:
    """Serve on a free port; give it."""
    entity = AE(AE_TITLE)
    for service in services:
        for context in service.contexts:
            entity.add_supported_context(
                context.abstract_syntax, scu_role=context.scu_role, scp_role=context.scp_role
            )
    entity.add_supported_context(MRImageStorage, list(SYNTAXES), scu_role=True, scp_role=True)
    handlers = [handler for service in services for handler in service.handlers]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


@dataclass
class Visitor:
    """A peer on an association; keeps what it is sent by C-GET."""

    association: Association
    received: list[tuple[str, Dataset]]

    def find(self, **keys: object) -> list[tuple[Dataset, Dataset | None]]:
        return list(self.association.send_c_find(identifier(**keys), STUDY_ROOT_FIND))

    def get(self, **keys: object) -> Dataset:
        return self.responses(**keys)[-1][0]

    def responses(self, **keys: object) -> list[tuple[Dataset, Dataset | None]]:
        return list(self.association.send_c_get(identifier(**keys), STUDY_ROOT_GET))

    def move(self, destination: str, **keys: object) -> Dataset:
        return list(self.association.send_c_move(identifier(**keys), destination, STUDY_ROOT_MOVE))[-1][0]


def identifier(**keys: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


@contextmanager
def visiting(port: int, syntaxes: Sequence[str] = (ExplicitVRLittleEndian,)) -> Iterator[Visitor]:
    received: list[tuple[str, Dataset]] = []

    def keep(event: evt.Event) -> int:
        received.append((str(UID(event.context.transfer_syntax)), event.dataset))
        return 0x0000

    entity = AE(PEER)
    for model in (STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE):
        entity.add_requested_context(model)
    entity.add_requested_context(MRImageStorage, list(syntaxes))
    association = entity.associate(
        "127.0.0.1",
        port,
        ae_title=AE_TITLE,
        ext_neg=[build_role(MRImageStorage, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, keep)],
    )
    assert association.is_established
    try:
        yield Visitor(association, received)
    finally:
        association.release()
