"""Stored instances by UID: where the file is, and what somebody must know to send it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from core.database import InstanceRow, JobRow, ResultObjectRow, SeriesRow, StudyRow
from core.study_store import StudyStore
from service.access.principal import Principal
from service.catalogue.listing import is_listed, is_ours_alone, present_study

ROWS_AT_ONCE = 1000
"""Rows fetched, and UIDs asked for, in one step; SQLite takes at most 32,766 values in a statement."""

Uids = str | Sequence[str] | None
"""One UID, several, or no condition."""


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """An instance whose file is in the study store: received, or published by us."""

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
    study_instance_uid: Uids = None,
    series_instance_uid: Uids = None,
    sop_instance_uid: Uids = None,
    patient_id: str | None = None,
) -> Iterator[StoredInstance]:
    """Yield the instances that satisfy every condition, received ones first, in the order of arrival.

    Objects of a revision that a newer one replaced are yielded only to somebody who names their series
    or themselves.

    Raises
    ------
    ValueError
        There is no condition at all.
    """
    if study_instance_uid is series_instance_uid is sop_instance_uid is patient_id is None:
        raise ValueError("expected a patient, a study, a series or an instance")
    conditions = [present_study(principal)]
    if patient_id is not None:
        conditions.append(StudyRow.patient_id == patient_id)
    if study_instance_uid is not None:
        conditions.append(StudyRow.study_instance_uid.in_(_several(study_instance_uid)))
    series = None if series_instance_uid is None else _several(series_instance_uid)
    by_name = series is not None or sop_instance_uid is not None
    batches = [None] if sop_instance_uid is None else [*_batches(_several(sop_instance_uid))]
    for batch in batches:
        yield from _received(session, store, conditions, series, batch)
    for batch in batches:
        yield from _published(session, store, conditions, series, batch, replaced_too=by_name)


def _received(
    session: Session,
    store: StudyStore,
    conditions: Sequence[ColumnElement[bool]],
    series: Sequence[str] | None,
    sop_instances: Sequence[str] | None,
) -> Iterator[StoredInstance]:
    statement = (
        select(
            InstanceRow.path,
            InstanceRow.sop_class_uid,
            InstanceRow.sop_instance_uid,
            InstanceRow.transfer_syntax_uid,
            SeriesRow.series_instance_uid,
            StudyRow.study_instance_uid,
            InstanceRow.size_bytes,
        )
        .join(SeriesRow, SeriesRow.id == InstanceRow.series_id)
        .join(StudyRow, StudyRow.id == SeriesRow.study_id)
        .where(*conditions)
        .order_by(InstanceRow.series_id, InstanceRow.id)
    )
    if series is not None:
        statement = statement.where(SeriesRow.series_instance_uid.in_(series))
    if sop_instances is not None:
        statement = statement.where(InstanceRow.sop_instance_uid.in_(sop_instances))
    for row in session.execute(statement, execution_options={"yield_per": ROWS_AT_ONCE}):
        yield StoredInstance(**row._asdict() | {"path": store.resolve(row.path)})


def _published(
    session: Session,
    store: StudyStore,
    conditions: Sequence[ColumnElement[bool]],
    series: Sequence[str] | None,
    sop_instances: Sequence[str] | None,
    *,
    replaced_too: bool,
) -> Iterator[StoredInstance]:
    statement = (
        select(ResultObjectRow, JobRow.results, StudyRow.study_instance_uid)
        .join(JobRow, JobRow.id == ResultObjectRow.job_id)
        .join(StudyRow, StudyRow.id == JobRow.study_id)
        .where(*conditions, is_ours_alone())
        .order_by(ResultObjectRow.id)
    )
    if not replaced_too:
        statement = statement.where(is_listed())
    if series is not None:
        statement = statement.where(ResultObjectRow.series_instance_uid.in_(series))
    if sop_instances is not None:
        statement = statement.where(ResultObjectRow.sop_instance_uid.in_(sop_instances))
    for row, results, study_instance_uid in session.execute(statement):
        yield StoredInstance(
            path=store.resolve(results[row.kind]["path"]),
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
            transfer_syntax_uid=row.transfer_syntax_uid,
            series_instance_uid=row.series_instance_uid,
            study_instance_uid=study_instance_uid,
            size_bytes=row.size_bytes,
        )


def _several(uids: str | Sequence[str]) -> Sequence[str]:
    return [uids] if isinstance(uids, str) else uids


def _batches(uids: Sequence[str]) -> Iterator[Sequence[str]]:
    yield from (uids[start : start + ROWS_AT_ONCE] for start in range(0, len(uids), ROWS_AT_ONCE))
