"""Taking one object in: checked, durable on disk, recorded in the database; only then acknowledged."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from prometheus_client import Counter
from pydicom.filereader import read_file_meta_info
from sqlalchemy.exc import SQLAlchemyError

from core.clock import Clock
from core.database import Sessions
from core.errors import Transient
from core.headers import ANALYSED_SOP_CLASSES
from core.job import Lane
from core.logs import logger, pseudonym
from core.study_store import StudyStore
from core.uids import is_conformant_uid
from service.receiving.instance_file import (
    InstanceFile,
    ObjectIdentity,
    RefusalReason,
    UnacceptableInstance,
    read_instance_file,
)
from service.receiving.reception import Reception, ReceptionKind, Sender
from service.receiving.records import InstanceRecords

RECEPTIONS = Counter(
    "metserve_receptions", "Objects offered to the service, by what became of them.", ["kind"]
)
REFUSALS = Counter("metserve_refusals", "Objects that were refused and quarantined, by reason.", ["reason"])


class Ingest:
    """Takes objects in, from whatever door they come.

    Parameters
    ----------
    keep_other_storage_classes
        Keep objects that are not MR (they are never analysed).
    """

    def __init__(
        self,
        store: StudyStore,
        sessions: Sessions,
        clock: Clock,
        *,
        keep_other_storage_classes: bool = True,
    ) -> None:
        self._store = store
        self._records = InstanceRecords(sessions, clock)
        self._keep_others = keep_other_storage_classes

    def accept(
        self,
        temporary_path: Path,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        calling_ae_title: str,
        peer_address: str,
        lane: Lane = Lane.ROUTINE,
    ) -> Reception:
        """Take a finished temporary file (PS3.10) over; it is gone from its path afterwards.

        Success means: the file is on disk for good and its record is committed.

        Parameters
        ----------
        lane
            URGENT raises the study's lane; nothing lowers it.

        Raises
        ------
        Transient
            Disk or database failed; nothing was acknowledged, the sender may try again.
        """
        identity = ObjectIdentity(sop_class_uid, sop_instance_uid, transfer_syntax_uid)
        sender = Sender(_printable(calling_ae_title), peer_address, lane)
        try:
            reception = self._take(temporary_path, identity, sender)
        except (OSError, SQLAlchemyError) as error:
            raise Transient(f"cannot store an object ({type(error).__name__})") from error
        finally:
            temporary_path.unlink(missing_ok=True)
        RECEPTIONS.labels(reception.kind.value).inc()
        return reception

    def adopt_orphans(self) -> int:
        """Record files that a killed process left between rename and commit; return their number.

        One that cannot be understood goes to quarantine; one the disk does not give stays where it is.

        Raises
        ------
        Transient
            The database failed.
        """
        try:
            return sum(self._adopt(path) for path in self._orphans())
        except SQLAlchemyError as error:
            raise Transient(f"files without a record wait ({type(error).__name__})") from error

    def _orphans(self) -> list[Path]:
        known = self._records.paths()
        return [
            path
            for path in sorted(self._store.instances.glob("*/*/*.dcm"))
            if self._store.relative(path) not in known
        ]

    def _take(self, path: Path, identity: ObjectIdentity, sender: Sender) -> Reception:
        try:
            self._check_class(identity)
            file = read_instance_file(path, identity)
            _log_deviating_uids(file)
            relative = self._store.instance_path(
                file.header.study_instance_uid, file.header.sop_instance_uid, file.sha256
            )
            path = self._store.commit(path, relative)
            reception = self._settle(path, self._records.add(file, relative, sender))
            return replace(reception, file=file) if reception.kind is ReceptionKind.STORED else reception
        except UnacceptableInstance as refusal:
            return self._refuse(path, refusal)

    def _adopt(self, path: Path) -> bool:
        try:
            return self._record_or_set_aside(path)
        except OSError as error:
            logger().error("a file without a record is left for the next start", error=error.strerror)
            return False

    def _record_or_set_aside(self, path: Path) -> bool:
        try:
            return self._record_orphan(path)
        except (OSError, SQLAlchemyError, Transient):
            raise
        except Exception as error:  # noqa: BLE001 - one odd file must not keep the receiver from starting
            cause = str(error) if isinstance(error, UnacceptableInstance) else type(error).__name__
            logger().warning("a file without a record cannot be used", error=cause)
            self._set_aside(path, f"found without a record: {cause}")
            return False

    def _record_orphan(self, path: Path) -> bool:
        meta = read_file_meta_info(path)
        identity = ObjectIdentity(
            str(meta.get("MediaStorageSOPClassUID", "")),
            str(meta.get("MediaStorageSOPInstanceUID", "")),
            str(meta.get("TransferSyntaxUID", "")),
        )
        file, relative = read_instance_file(path, identity), self._store.relative(path)
        reception = self._settle(path, self._records.add(file, relative, Sender()))
        recorded = self._records.path_of(file.header.sop_instance_uid)
        if reception.kind is ReceptionKind.DUPLICATE and recorded != relative:
            path.unlink()
        return reception.kind is ReceptionKind.STORED

    def _check_class(self, identity: ObjectIdentity) -> None:
        if not self._keep_others and identity.sop_class_uid not in ANALYSED_SOP_CLASSES:
            raise UnacceptableInstance(
                RefusalReason.STORAGE_CLASS_NOT_KEPT,
                f"SOP class {identity.sop_class_uid!r} is not analysed and not kept",
            )

    def _refuse(self, path: Path, refusal: UnacceptableInstance) -> Reception:
        self._set_aside(path, f"{refusal.reason}: {refusal.message}")
        REFUSALS.labels(refusal.reason.value).inc()
        logger().warning("object refused", reason=refusal.reason.value, message=refusal.message)
        return Reception(ReceptionKind.REFUSED, refusal.reason, refusal.message)

    def _settle(self, kept: Path, kind: ReceptionKind) -> Reception:
        """Move a file aside whose UID is already taken by other bytes."""
        if kind is not ReceptionKind.CONFLICT_QUARANTINED:
            return Reception(kind)
        message = "another object with this SOP Instance UID is kept; this one has other content"
        self._set_aside(kept, message)
        logger().warning("conflicting object quarantined")
        return Reception(kind, message=message)

    def _set_aside(self, path: Path, reason: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # the same bytes, sent twice at once, are gone already
            self._store.quarantine(path, reason)


def _log_deviating_uids(file: InstanceFile) -> None:
    uids = (file.header.study_instance_uid, file.header.series_instance_uid, file.header.sop_instance_uid)
    if not all(is_conformant_uid(uid) for uid in uids):
        logger().info("UIDs deviate from PS3.5 9.1 and are kept", study=pseudonym(uids[0]))


def _printable(text: str) -> str:
    """Return a peer's text without control characters, NUL above all: PostgreSQL cannot hold it."""
    return "".join(character for character in text if character.isprintable())
