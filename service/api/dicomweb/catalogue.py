"""What is in the study store, as DICOMweb asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.database import InstanceRow, SeriesRow, StudyRow
from core.study_store import StudyStore
from service.access.principal import Principal
from service.access.visibility import is_visible


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """An instance whose file is in the study store."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    series_instance_uid: str
    study_instance_uid: str
    size_bytes: int


def instances(
    session: Session,
    store: StudyStore,
    principal: Principal,
    *,
    study_instance_uid: str | None = None,
    series_instance_uid: str | None = None,
    sop_instance_uid: str | None = None,
) -> Iterator[StoredInstance]:
    """Yield the instances of a study, a series, or one."""
    wanted = {
        StudyRow.study_instance_uid: study_instance_uid,
        SeriesRow.series_instance_uid: series_instance_uid,
        InstanceRow.sop_instance_uid: sop_instance_uid,
    }
    rows = session.execute(
        select(InstanceRow, SeriesRow.series_instance_uid, StudyRow.study_instance_uid)
        .join(SeriesRow, SeriesRow.id == InstanceRow.series_id)
        .join(StudyRow, StudyRow.id == SeriesRow.study_id)
        .where(is_visible(principal), *(c == v for c, v in wanted.items() if v is not None))
        .order_by(InstanceRow.id)
    )
    for row, series, study in rows:
        yield StoredInstance(
            store.resolve(row.path),
            row.sop_class_uid,
            row.sop_instance_uid,
            row.transfer_syntax_uid,
            series,
            study,
            row.size_bytes,
        )
