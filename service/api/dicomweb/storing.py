"""STOW-RS behind the route: each instance through the same ingest as by C-STORE (PS3.18 10.5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pydicom import Dataset
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
    MediaStorageDirectoryStorage,
    RLELossless,
)
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from core.audit import AuditedStudy
from core.database import Sessions, StudyRow
from core.errors import Transient
from core.headers import ANALYSED_SOP_CLASSES
from core.logs import logger
from core.uids import is_acceptable_uid
from service.access.principal import Principal
from service.access.visibility import is_visible
from service.api.dicomweb.part10 import read_identity
from service.receiving.ingest import Ingest
from service.receiving.instance_file import (
    InstanceFile,
    ObjectIdentity,
    RefusalReason,
    UnacceptableInstance,
    read_instance_file,
)
from service.receiving.reception import Reception, ReceptionKind

OUT_OF_RESOURCES = 0xA700
DATA_SET_DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
DUPLICATE_SOP_INSTANCE = 0x0111
"""Another object of this UID is kept, PS3.7 C.5.7."""
SOP_CLASS_NOT_SUPPORTED = 0x0122
NOT_AUTHORIZED = 0x0124
OTHER_STUDY = 0xA901
"""Of the range Data Set Does Not Match SOP Class: its Study Instance UID is not the one of the URL."""

STORAGE_ROOT = "1.2.840.10008.5.1.4.1.1."
"""Nearly all storage classes, also those newer than any dictionary (PS3.4 B.5); nothing else is below it."""

MISMATCHES = frozenset({RefusalReason.SOP_CLASS_MISMATCH, RefusalReason.SOP_INSTANCE_MISMATCH})

LOSSLESS_TRANSFER_SYNTAXES = frozenset(
    {
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        JPEGLosslessSV1,
        JPEGLossless,
        JPEGLSLossless,
        JPEG2000Lossless,
        RLELossless,
    }
)
EVERY_TRANSFER_SYNTAX = LOSSLESS_TRANSFER_SYNTAXES | {
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    JPEG2000,
}
"""As the receiver negotiates them; lossy ones for objects that are never analysed. The receiver's own table
would bring the DICOM network into this process."""


@dataclass(frozen=True, slots=True)
class StoredPart:
    """What became of one part.

    Parameters
    ----------
    failure_reason
        PS3.18 10.5.3.2 and PS3.4 B.2.3; 0 when it is stored.
    """

    identity: ObjectIdentity
    failure_reason: int
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    patient_id: str = ""
    patient_name: str = ""


class StoreRequest:
    """The instances of one request.

    Parameters
    ----------
    study_instance_uid
        The one all must belong to, if the URL names one.
    address
        Of the client.
    """

    def __init__(
        self,
        ingest: Ingest,
        read_sessions: Sessions,
        principal: Principal,
        *,
        study_instance_uid: str | None,
        address: str,
    ) -> None:
        self._ingest = ingest
        self._read_sessions = read_sessions
        self._principal = principal
        self._study_instance_uid = study_instance_uid
        self._address = address
        self.parts: list[StoredPart] = []

    def take(self, path: Path) -> None:
        """Store one file, or note why not; it is gone from its path afterwards."""
        try:
            self.parts.append(self._store(path))
        finally:
            path.unlink(missing_ok=True)

    def status(self) -> HTTPStatus:
        """Return the status of the whole, PS3.18 table 10.5.3-1."""
        reasons = {part.failure_reason for part in self.parts}
        if reasons <= {0}:
            return HTTPStatus.OK
        if 0 in reasons:
            return HTTPStatus.ACCEPTED
        return HTTPStatus.SERVICE_UNAVAILABLE if reasons == {OUT_OF_RESOURCES} else HTTPStatus.CONFLICT

    def response(self, studies_url: str) -> dict[str, Any]:
        """Return the Store Instances Response Module (PS3.18 table 10.5.3-2) in DICOM JSON."""
        answer = Dataset()
        study = self._study_instance_uid or self._only_study()
        answer.RetrieveURL = f"{studies_url}/{study}" if study else ""
        stored = [part for part in self.parts if part.failure_reason == 0]
        failed = [part for part in self.parts if part.failure_reason != 0]
        if stored:
            answer.ReferencedSOPSequence = [_stored_item(part, studies_url) for part in stored]
        if failed:
            answer.FailedSOPSequence = [_failed_item(part) for part in failed]
        content: dict[str, Any] = answer.to_json_dict()
        return content

    def audited_studies(self) -> tuple[AuditedStudy, ...]:
        """Return what arrived, by study."""
        stored = [part for part in self.parts if part.failure_reason == 0]
        by_study = {part.study_instance_uid: part for part in reversed(stored)}
        return tuple(
            AuditedStudy(uid, part.patient_id, part.patient_name, _sop_classes(stored, uid))
            for uid, part in by_study.items()
        )

    def _store(self, path: Path) -> StoredPart:
        identity = read_identity(path)
        try:
            file = read_instance_file(path, identity)
        except UnacceptableInstance:
            file = None  # the ingest judges it again, and puts it into quarantine
        except OSError:
            return StoredPart(identity, OUT_OF_RESOURCES)
        try:
            reason = self._objection(file) if file else 0
            reason = reason or failure_reason(self._accept(path, identity))
        except (Transient, SQLAlchemyError) as error:
            logger().error("an upload could not be stored for now", error=type(error).__name__)
            return StoredPart(identity, OUT_OF_RESOURCES)
        return _part(identity, reason, file)

    def _objection(self, file: InstanceFile) -> int:
        """Return why an acceptable object is not taken in this request, 0 if it is."""
        identity, study = file.identity, file.header.study_instance_uid
        if not is_offered(identity):
            return SOP_CLASS_NOT_SUPPORTED
        if self._study_instance_uid not in (None, study):
            return OTHER_STUDY
        return 0 if self._may_add_to(study) else NOT_AUTHORIZED

    def _may_add_to(self, study_instance_uid: str) -> bool:
        """Keep one who sees some studies only from making another's visible by adding to it."""
        if self._principal.sources is None:
            return True
        with self._read_sessions() as session:
            found = session.execute(
                select(is_visible(self._principal))
                .select_from(StudyRow)
                .where(StudyRow.study_instance_uid == study_instance_uid)
            ).scalar_one_or_none()
        return found is None or bool(found)

    def _accept(self, path: Path, identity: ObjectIdentity) -> Reception:
        return self._ingest.accept(
            path,
            sop_class_uid=identity.sop_class_uid,
            sop_instance_uid=identity.sop_instance_uid,
            transfer_syntax_uid=identity.transfer_syntax_uid,
            calling_ae_title=_source(self._principal),
            peer_address=self._address,
        )

    def _only_study(self) -> str:
        studies = {part.study_instance_uid for part in self.parts if part.failure_reason == 0}
        return studies.pop() if len(studies) == 1 else ""


def is_offered(identity: ObjectIdentity) -> bool:
    """Tell whether C-STORE would have accepted a presentation context for it."""
    analysed = identity.sop_class_uid in ANALYSED_SOP_CLASSES
    syntaxes = LOSSLESS_TRANSFER_SYNTAXES if analysed else EVERY_TRANSFER_SYNTAX
    return _is_storage_class(identity.sop_class_uid) and identity.transfer_syntax_uid in syntaxes


def _is_storage_class(sop_class_uid: str) -> bool:
    if sop_class_uid.startswith(STORAGE_ROOT):
        return True
    known = UID(sop_class_uid)
    storage = known.type == "SOP Class" and "Storage" in known.name and "Commitment" not in known.name
    return storage and known != MediaStorageDirectoryStorage


def failure_reason(reception: Reception) -> int:
    """Return what the answer says of a reception: 0, or a Failure Reason."""
    if reception.kind is ReceptionKind.CONFLICT_QUARANTINED:
        return DUPLICATE_SOP_INSTANCE
    if reception.kind is not ReceptionKind.REFUSED:
        return 0
    return DATA_SET_DOES_NOT_MATCH if reception.reason in MISMATCHES else CANNOT_UNDERSTAND


def _source(principal: Principal) -> str:
    """Return under which AE title an upload is kept: one whose studies the principal sees."""
    return min(principal.sources) if principal.sources else principal.name


def _part(identity: ObjectIdentity, reason: int, file: InstanceFile | None) -> StoredPart:
    if file is None:
        return StoredPart(identity, reason or CANNOT_UNDERSTAND)
    return StoredPart(
        identity,
        reason,
        study_instance_uid=file.header.study_instance_uid,
        series_instance_uid=file.header.series_instance_uid,
        patient_id=file.study.patient_id,
        patient_name=file.study.patient_name,
    )


def _stored_item(part: StoredPart, studies_url: str) -> Dataset:
    item = _reference(part)
    series_url = f"{studies_url}/{part.study_instance_uid}/series/{part.series_instance_uid}"
    item.RetrieveURL = f"{series_url}/instances/{part.identity.sop_instance_uid}"
    return item


def _failed_item(part: StoredPart) -> Dataset:
    item = _reference(part)
    item.FailureReason = part.failure_reason
    return item


def _reference(part: StoredPart) -> Dataset:
    """Return a reference; UIDs nobody accepts are not repeated."""
    item = Dataset()
    identity = part.identity
    item.ReferencedSOPClassUID = identity.sop_class_uid if is_acceptable_uid(identity.sop_class_uid) else ""
    item.ReferencedSOPInstanceUID = (
        identity.sop_instance_uid if is_acceptable_uid(identity.sop_instance_uid) else ""
    )
    return item


def _sop_classes(parts: Sequence[StoredPart], study_instance_uid: str) -> tuple[tuple[str, int], ...]:
    classes = (part.identity.sop_class_uid for part in parts if part.study_instance_uid == study_instance_uid)
    return tuple(sorted(Counter(classes).items()))
