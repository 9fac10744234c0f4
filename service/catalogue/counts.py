"""How much there is of a study or a series: received instances and listed results together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.database import InstanceRow, JobRow, ResultObjectRow, SeriesRow
from service.catalogue.listing import is_listed, is_ours_alone


@dataclass(frozen=True, slots=True)
class StudyContents:
    """What a study holds."""

    modalities: tuple[str, ...]
    number_of_series: int
    number_of_instances: int


def study_contents(session: Session, study_ids: Sequence[int]) -> dict[int, StudyContents]:
    """Return what studies hold, by the id of the study's row."""
    modalities: dict[int, set[str]] = defaultdict(set)
    series: dict[int, set[str]] = defaultdict(set)
    numbers: dict[int, int] = defaultdict(int)
    for study_id, uid, modality, number in _contents(session, study_ids):
        series[study_id].add(uid)
        numbers[study_id] += number
        if modality:
            modalities[study_id].add(modality)
    return {
        study_id: StudyContents(tuple(sorted(modalities[study_id])), len(series[study_id]), numbers[study_id])
        for study_id in study_ids
    }


def series_sizes(session: Session, series: Sequence[tuple[int, str]]) -> dict[tuple[int, str], int]:
    """Return the number of instances of series, by study's row and Series Instance UID."""
    sizes: dict[tuple[int, str], int] = defaultdict(int)
    wanted = set(series)
    for study_id, uid, _, number in _contents(session, sorted({study_id for study_id, _ in series})):
        if (study_id, uid) in wanted:
            sizes[study_id, uid] += number
    return sizes


def _contents(session: Session, study_ids: Sequence[int]) -> list[tuple[int, str, str, int]]:
    """Return study's row, series, modality and number of instances, of received and published objects."""
    received = (
        select(
            SeriesRow.study_id,
            SeriesRow.series_instance_uid,
            SeriesRow.modality,
            func.count(InstanceRow.id),
        )
        .join(InstanceRow, InstanceRow.series_id == SeriesRow.id)
        .where(SeriesRow.study_id.in_(study_ids))
        .group_by(SeriesRow.id)
    )
    published = (
        select(
            JobRow.study_id,
            ResultObjectRow.series_instance_uid,
            ResultObjectRow.modality,
            func.count(ResultObjectRow.id),
        )
        .join(ResultObjectRow, ResultObjectRow.job_id == JobRow.id)
        .where(JobRow.study_id.in_(study_ids), is_listed(), is_ours_alone())
        .group_by(JobRow.study_id, ResultObjectRow.series_instance_uid, ResultObjectRow.modality)
    )
    return [
        (row[0], row[1], row[2], row[3])
        for statement in (received, published)
        for row in session.execute(statement)
    ]
