"""Taking one object in: checked, durable on disk, recorded in the database; only then acknowledged."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from prometheus_client import Counter
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from core.clock import Clock
from core.database import InstanceRow, SeriesRow, Sessions, StudyRow
from core.errors import Transient
from core.headers import ANALYSED_SOP_CLASSES, INSTANCE_HEADER
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

RECORD_ATTEMPTS = 5
"""Two senders may insert the same study, series or instance at once; the loser looks again."""

RECEPTIONS = Counter(
    "metserve_receptions", "Objects offered to the service, by what became of them.", ["kind"]
)
REFUSALS = Counter("metserve_refusals", "Objects that were refused and quarantined, by reason.", ["reason"])


class ReceptionKind(StrEnum):
    """What became of an object."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT_QUARANTINED = "conflict_quarantined"
    """Another object with this UID is kept; this one lies in quarantine."""
    REFUSED = "refused"
    """Not taken; it lies in quarantine."""


@dataclass(frozen=True, slots=True)
class Reception:
    """The answer to one offered object; ``reason`` is set when it was refused."""

    kind: ReceptionKind
    reason: RefusalReason | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent an object."""

    calling_ae_title: str = ""
    peer_address: str = ""


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
        self._sessions = sessions
        self._clock = clock
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
    ) -> Reception:
        """Take a finished temporary file (PS3.10) over; it is gone from its path afterwards.

        Success means: the file is on disk for good and its record is committed.

        Raises
        ------
        Transient
            Disk or database failed; nothing was acknowledged, the sender may try again.
        """
        identity = ObjectIdentity(sop_class_uid, sop_instance_uid, transfer_syntax_uid)
        try:
            reception = self._take(temporary_path, identity, Sender(calling_ae_title, peer_address))
        except (OSError, DBAPIError) as error:
            raise Transient(f"cannot store an object ({type(error).__name__})") from error
        finally:
            temporary_path.unlink(missing_ok=True)
        RECEPTIONS.labels(reception.kind.value).inc()
        return reception

    def adopt_orphans(self) -> int:
        """Record files that a killed process left between rename and commit; return their number."""
        with self._sessions() as session:
            known = set(session.scalars(select(InstanceRow.path)))
        orphans = [
            path
            for path in sorted(self._store.instances.glob("*/*/*.dcm"))
            if self._store.relative(path) not in known
        ]
        return sum(self._adopt(path) for path in orphans)

    def _take(self, path: Path, identity: ObjectIdentity, sender: Sender) -> Reception:
        try:
            self._check_class(identity)
            file = read_instance_file(path, identity)
        except UnacceptableInstance as refusal:
            return self._refuse(path, refusal)
        _log_deviating_uids(file)
        relative = self._store.instance_path(
            file.header.study_instance_uid, file.header.sop_instance_uid, file.sha256
        )
        kept = self._store.commit(path, relative)
        return self._settle(kept, self._record(file, relative, sender))

    def _adopt(self, path: Path) -> bool:
        try:
            meta = read_file_meta_info(path)
            identity = ObjectIdentity(
                str(meta.get("MediaStorageSOPClassUID", "")),
                str(meta.get("MediaStorageSOPInstanceUID", "")),
                str(meta.get("TransferSyntaxUID", "")),
            )
            file = read_instance_file(path, identity)
        except (InvalidDicomError, UnacceptableInstance) as error:
            logger().warning("a file without a record cannot be read", error=str(error))
            self._store.quarantine(path, f"found without a record: {error}")
            return False
        reception = self._settle(path, self._record(file, self._store.relative(path), Sender()))
        if reception.kind is ReceptionKind.DUPLICATE:
            path.unlink()
        return reception.kind is ReceptionKind.STORED

    def _check_class(self, identity: ObjectIdentity) -> None:
        if not self._keep_others and identity.sop_class_uid not in ANALYSED_SOP_CLASSES:
            raise UnacceptableInstance(
                RefusalReason.STORAGE_CLASS_NOT_KEPT,
                f"SOP class {identity.sop_class_uid!r} is not analysed and not kept",
            )

    def _refuse(self, path: Path, refusal: UnacceptableInstance) -> Reception:
        self._store.quarantine(path, f"{refusal.reason}: {refusal.message}")
        REFUSALS.labels(refusal.reason.value).inc()
        logger().warning("object refused", reason=refusal.reason.value, message=refusal.message)
        return Reception(ReceptionKind.REFUSED, refusal.reason, refusal.message)

    def _settle(self, kept: Path, kind: ReceptionKind) -> Reception:
        """Move a file aside whose UID is already taken by other bytes."""
        if kind is not ReceptionKind.CONFLICT_QUARANTINED:
            return Reception(kind)
        message = "another object with this SOP Instance UID is kept; this one has other content"
        with contextlib.suppress(FileNotFoundError):  # the same bytes, sent twice at once, are gone already
            self._store.quarantine(kept, message)
        logger().warning("conflicting object quarantined")
        return Reception(kind, message=message)

    def _record(self, file: InstanceFile, relative: str, sender: Sender) -> ReceptionKind:
        for _ in range(RECORD_ATTEMPTS):
            try:
                with self._sessions.begin() as session:
                    return self._insert(session, file, relative, sender)
            except IntegrityError:
                continue
        raise Transient(f"an object could not be recorded in {RECORD_ATTEMPTS} attempts")

    def _insert(self, session: Session, file: InstanceFile, relative: str, sender: Sender) -> ReceptionKind:
        known = session.scalar(
            select(InstanceRow.sha256).where(InstanceRow.sop_instance_uid == file.header.sop_instance_uid)
        )
        if known is not None:
            same = known == file.sha256
            return ReceptionKind.DUPLICATE if same else ReceptionKind.CONFLICT_QUARANTINED
        now = self._clock()
        study = self._study(session, file)
        series = _series(session, study, file)
        session.add(
            InstanceRow(
                series_id=series.id,
                sop_instance_uid=file.header.sop_instance_uid,
                sop_class_uid=file.header.sop_class_uid,
                transfer_syntax_uid=file.identity.transfer_syntax_uid,
                sha256=file.sha256,
                size_bytes=file.size_bytes,
                path=relative,
                header=INSTANCE_HEADER.dump_python(file.header, mode="json"),
                calling_ae_title=sender.calling_ae_title,
                peer_address=sender.peer_address,
                received_at=now,
            )
        )
        # A statement of its own: the ORM would leave out a value it believes unchanged, and the
        # coordinator may have changed it since.
        values = {"last_received_at": now, "awaits_assembly": True}
        session.execute(update(StudyRow).where(StudyRow.id == study.id).values(**values))
        return ReceptionKind.STORED

    def _study(self, session: Session, file: InstanceFile) -> StudyRow:
        uid = file.header.study_instance_uid
        study = session.scalar(select(StudyRow).where(StudyRow.study_instance_uid == uid))
        if study is None:
            now = self._clock()
            study = StudyRow(
                study_instance_uid=uid, first_received_at=now, last_received_at=now, **asdict(file.study)
            )
            session.add(study)
            session.flush()
        elif study.patient_id != file.study.patient_id:
            logger().warning("a study names two patients; the first is shown", study=pseudonym(uid))
        return study


def _series(session: Session, study: StudyRow, file: InstanceFile) -> SeriesRow:
    uid = file.header.series_instance_uid
    series = session.scalar(
        select(SeriesRow).where(SeriesRow.study_id == study.id, SeriesRow.series_instance_uid == uid)
    )
    if series is None:
        series = SeriesRow(
            study_id=study.id,
            series_instance_uid=uid,
            modality=file.header.modality,
            series_number=file.header.series_number,
            series_description=file.header.series_description,
        )
        session.add(series)
        session.flush()
    return series


def _log_deviating_uids(file: InstanceFile) -> None:
    uids = (file.header.study_instance_uid, file.header.series_instance_uid, file.header.sop_instance_uid)
    if not all(is_conformant_uid(uid) for uid in uids):
        logger().info("UIDs deviate from PS3.5 9.1 and are kept", study=pseudonym(uids[0]))
