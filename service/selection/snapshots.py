"""Studies that wait for assembly, each as the database holds it at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from core.database import InstanceRow, SeriesRow, StudyRow
from core.headers import INSTANCE_HEADER, group_into_studies
from core.study import Study
from service.selection.study_assembly import STUDY_ASSEMBLY, StudyAssembly


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A study as it stood at one moment."""

    study_id: int
    study_instance_uid: str
    last_received_at: datetime
    analysis_requested_at: datetime | None
    instance_count: int

    @property
    def is_requested(self) -> bool:
        """Whether somebody asked not to wait."""
        return self.analysis_requested_at is not None

    def quiet_s(self, now: datetime) -> float:
        """Return for how long nothing new has come, in seconds."""
        return (now - self.last_received_at).total_seconds()


def waiting_snapshots(session: Session) -> list[Snapshot]:
    """Return the studies that wait for assembly, longest quiet first."""
    statement = (
        select(
            StudyRow.id,
            StudyRow.study_instance_uid,
            StudyRow.last_received_at,
            StudyRow.analysis_requested_at,
            func.count(InstanceRow.id),
        )
        .join(SeriesRow, SeriesRow.study_id == StudyRow.id)
        .join(InstanceRow, InstanceRow.series_id == SeriesRow.id)
        .where(StudyRow.awaits_assembly)
        .group_by(StudyRow.id)
        .order_by(StudyRow.last_received_at)
    )
    return [Snapshot(*row) for row in session.execute(statement)]


def load_study(session: Session, snapshot: Snapshot) -> Study:
    """Return the headers of all instances received so far."""
    headers = session.scalars(
        select(InstanceRow.header)
        .join(SeriesRow, InstanceRow.series_id == SeriesRow.id)
        .where(SeriesRow.study_id == snapshot.study_id)
        .order_by(SeriesRow.id, InstanceRow.id)
    )
    return group_into_studies(INSTANCE_HEADER.validate_python(header) for header in headers)[0]


def keep_assembly(session: Session, snapshot: Snapshot, assembly: StudyAssembly) -> None:
    """Write down what assembly made of a study, unless something arrived since the snapshot."""
    values = {"assembly": STUDY_ASSEMBLY.dump_python(assembly, mode="json")}
    session.execute(update(StudyRow).where(*_unchanged(snapshot)).values(**values))


def close_assembly(session: Session, snapshot: Snapshot) -> bool:
    """Take a study off the waiting list; False when it is no longer the one of the snapshot."""
    values = {"awaits_assembly": False, "analysis_requested_at": None}
    result = session.execute(update(StudyRow).where(*_unchanged(snapshot)).values(**values))
    return isinstance(result, CursorResult) and result.rowcount == 1


def _unchanged(snapshot: Snapshot) -> tuple[Any, ...]:
    """Compare the count as well: two instances may arrive at one tick of the clock."""
    count = select(func.count(InstanceRow.id)).join(SeriesRow).where(SeriesRow.study_id == snapshot.study_id)
    return (
        StudyRow.id == snapshot.study_id,
        StudyRow.awaits_assembly,
        StudyRow.last_received_at == snapshot.last_received_at,
        StudyRow.analysis_requested_at.is_not_distinct_from(snapshot.analysis_requested_at),
        count.scalar_subquery() == snapshot.instance_count,
    )
