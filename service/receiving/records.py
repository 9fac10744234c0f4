"""The rows of a received object: its instance, series and study."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import select, update
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session

from core.clock import Clock
from core.database import InstanceRow, SeriesRow, Sessions, StudyRow
from core.errors import Transient
from core.headers import INSTANCE_HEADER
from core.job import Lane
from core.logs import logger, pseudonym
from service.receiving.instance_file import InstanceFile, RefusalReason, UnacceptableInstance
from service.receiving.reception import ReceptionKind, Sender

RECORD_ATTEMPTS = 5
"""Two senders may insert the same study, series or instance at once; the loser looks again."""

UNRECORDABLE = (DataError, OverflowError, UnicodeError)
"""What drivers raise for a value that fits no column; it will not fit the next time either."""


class InstanceRecords:
    """Records objects whose files are kept."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock

    def add(self, file: InstanceFile, relative: str, sender: Sender) -> ReceptionKind:
        """Commit an object's rows, unless its UID is known.

        Parameters
        ----------
        relative
            Path of its file in the study store.

        Raises
        ------
        UnacceptableInstance
            The database cannot hold one of its values.
        Transient
            Others were always faster.
        SQLAlchemyError
            The database failed.
        """
        for _ in range(RECORD_ATTEMPTS):
            try:
                with self._sessions.begin() as session:
                    return self._insert(session, file, relative, sender)
            except IntegrityError:
                continue
            except UNRECORDABLE as error:
                message = f"the database cannot hold one of its values ({type(error).__name__})"
                raise UnacceptableInstance(RefusalReason.UNRECORDABLE, message) from error
        raise Transient(f"an object could not be recorded in {RECORD_ATTEMPTS} attempts")

    def paths(self) -> set[str]:
        """Return the paths of all recorded files, relative to the study store."""
        with self._sessions() as session:
            return set(session.scalars(select(InstanceRow.path)))

    def path_of(self, sop_instance_uid: str) -> str | None:
        """Return the path of the recorded file with this UID."""
        with self._sessions() as session:
            return session.scalar(
                select(InstanceRow.path).where(InstanceRow.sop_instance_uid == sop_instance_uid)
            )

    def _insert(self, session: Session, file: InstanceFile, relative: str, sender: Sender) -> ReceptionKind:
        known = session.scalar(
            select(InstanceRow.sha256).where(InstanceRow.sop_instance_uid == file.header.sop_instance_uid)
        )
        if known is not None:
            same = known == file.sha256
            return ReceptionKind.DUPLICATE if same else ReceptionKind.CONFLICT_QUARANTINED
        now = self._clock()
        study_id, series_id = self._place(session, file)
        session.add(
            InstanceRow(
                series_id=series_id,
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
        values: dict[str, object] = {"last_received_at": now, "awaits_assembly": True, "purged_at": None}
        if sender.lane is Lane.URGENT:
            values["lane"] = Lane.URGENT.value
        session.execute(update(StudyRow).where(StudyRow.id == study_id).values(**values))
        return ReceptionKind.STORED

    def _place(self, session: Session, file: InstanceFile) -> tuple[int, int]:
        """Return the ids of an object's study and series; the first object of either makes its row."""
        found = session.execute(
            select(StudyRow.id, SeriesRow.id, StudyRow.patient_id)
            .join(SeriesRow, SeriesRow.study_id == StudyRow.id)
            .where(
                StudyRow.study_instance_uid == file.header.study_instance_uid,
                SeriesRow.series_instance_uid == file.header.series_instance_uid,
            )
        ).one_or_none()
        if found is None:
            study = self._study(session, file)
            return study.id, _series(session, study, file).id
        study_id, series_id, patient_id = found
        _compare_patients(patient_id, file)
        return study_id, series_id

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
        else:
            _compare_patients(study.patient_id, file)
        return study


def _compare_patients(patient_id: str, file: InstanceFile) -> None:
    if patient_id != file.study.patient_id:
        study = pseudonym(file.header.study_instance_uid)
        logger().warning("a study names two patients; the first is shown", study=study)


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
