"""Queries of the catalogue: keys of a C-FIND or QIDO-RS in, attributes of what matches out."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from pydicom import Dataset
from pydicom.datadict import keyword_for_tag
from sqlalchemy import ColumnElement, Row, or_, select, union_all
from sqlalchemy.orm import Session

from core.database import JobRow, ResultObjectRow, SeriesRow, StudyRow
from service.access.principal import Principal
from service.catalogue.answers import image_answer, patient_answer, series_answer, study_answer
from service.catalogue.counts import series_sizes, study_contents
from service.catalogue.listing import (
    IMAGE_KEYWORDS,
    SERIES_KEYWORDS,
    STUDY_ID,
    is_listed,
    present_study,
    received_images,
    received_series,
    result_images,
    result_series,
)
from service.catalogue.matching import MATCHINGS, conditions, match_text, values_of


class Level(StrEnum):
    """Query/Retrieve Level (0008,0052), from the root."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


PATIENT_COLUMNS: Mapping[str, Any] = MappingProxyType(
    {
        "PatientName": StudyRow.patient_name,
        "PatientID": StudyRow.patient_id,
        "IssuerOfPatientID": StudyRow.issuer_of_patient_id,
        "PatientBirthDate": StudyRow.patient_birth_date,
        "PatientSex": StudyRow.patient_sex,
    }
)
STUDY_COLUMNS: Mapping[str, Any] = MappingProxyType(
    {
        **PATIENT_COLUMNS,
        "StudyInstanceUID": StudyRow.study_instance_uid,
        "StudyDate": StudyRow.study_date,
        "StudyTime": StudyRow.study_time,
        "StudyDescription": StudyRow.study_description,
        "AccessionNumber": StudyRow.accession_number,
    }
)
"""Keyword of an attribute of patient and study -> its column."""

_AT_LEVEL: Mapping[Level, frozenset[str]] = MappingProxyType(
    {
        Level.PATIENT: frozenset(PATIENT_COLUMNS),
        Level.STUDY: frozenset({*STUDY_COLUMNS, "ModalitiesInStudy"}),
        Level.SERIES: frozenset({*STUDY_COLUMNS, "ModalitiesInStudy", *SERIES_KEYWORDS}),
        Level.IMAGE: frozenset({*STUDY_COLUMNS, "ModalitiesInStudy", *IMAGE_KEYWORDS}),
    }
)


def unmatched_keys(level: Level, keys: Dataset) -> list[str]:
    """Return the keys with a value that ``search`` does not match at a level; they match everything."""
    known = _AT_LEVEL[level] & MATCHINGS.keys()
    control = {"QueryRetrieveLevel", "SpecificCharacterSet", "TimezoneOffsetFromUTC"}
    named = {keyword_for_tag(tag) or str(tag): keys.get_item(tag) for tag in keys.keys()}  # noqa: SIM118
    return sorted(name for name, element in named.items() if element.value and name not in known | control)


def search(
    session: Session, level: Level, keys: Dataset, principal: Principal, *, limit: int, offset: int = 0
) -> list[Dataset]:
    """Return a page of what matches at a level, the newest study first, with every attribute known.

    Keys of the levels above are matched too; sequences and unknown keys are left out of account.

    Raises
    ------
    InvalidInput
        A key cannot be read.
    """
    studies = [present_study(principal), *conditions(keys, STUDY_COLUMNS)]
    modalities = values_of(keys, "ModalitiesInStudy")
    if modalities and level is not Level.PATIENT:
        studies.append(_has_modality(modalities))
    match level:
        case Level.PATIENT:
            return _patients(session, studies, limit, offset)
        case Level.STUDY:
            return _studies(session, studies, limit, offset)
        case Level.SERIES:
            return _series(session, keys, studies, limit, offset)
        case Level.IMAGE:
            return _images(session, keys, studies, limit, offset)


def _patients(session: Session, studies: list[ColumnElement[bool]], limit: int, offset: int) -> list[Dataset]:
    columns = [column.label(keyword) for keyword, column in PATIENT_COLUMNS.items()]
    statement = select(*columns).where(*studies).distinct().order_by(*PATIENT_COLUMNS.values())
    return [patient_answer(row._asdict()) for row in session.execute(statement.limit(limit).offset(offset))]


def _studies(session: Session, studies: list[ColumnElement[bool]], limit: int, offset: int) -> list[Dataset]:
    statement = select(StudyRow).where(*studies).order_by(StudyRow.id.desc()).limit(limit).offset(offset)
    rows = session.scalars(statement).all()
    contents = study_contents(session, [row.id for row in rows])
    return [study_answer(row, contents[row.id]) for row in rows]


def _series(
    session: Session, keys: Dataset, studies: list[ColumnElement[bool]], limit: int, offset: int
) -> list[Dataset]:
    rows = _page(
        session,
        keys,
        studies,
        (received_series(), result_series()),
        ("SeriesNumber", "SeriesInstanceUID"),
        limit,
        offset,
    )
    owners = _owners(session, rows)
    sizes = series_sizes(session, [(row.study_id, row.SeriesInstanceUID) for row in rows])
    contents = study_contents(session, list(owners))
    return [
        series_answer(
            owners[row.study_id],
            contents[row.study_id],
            row._asdict(),
            sizes[row.study_id, row.SeriesInstanceUID],
        )
        for row in rows
    ]


def _images(
    session: Session, keys: Dataset, studies: list[ColumnElement[bool]], limit: int, offset: int
) -> list[Dataset]:
    order = ("SeriesNumber", "SeriesInstanceUID", "InstanceNumber", "SOPInstanceUID")
    rows = _page(session, keys, studies, (received_images(), result_images()), order, limit, offset)
    owners = _owners(session, rows)
    contents = study_contents(session, list(owners))
    return [image_answer(owners[row.study_id], contents[row.study_id], row._asdict()) for row in rows]


def _page(
    session: Session,
    keys: Dataset,
    studies: list[ColumnElement[bool]],
    branches: tuple[tuple[Any, Mapping[str, Any]], ...],
    order: tuple[str, ...],
    limit: int,
    offset: int,
) -> list[Row[Any]]:
    """Return a page over received and published rows; conditions stand in each, where indices serve them."""
    matching = [statement.where(*studies, *conditions(keys, columns)) for statement, columns in branches]
    every = union_all(*matching).subquery()
    statement = select(every).order_by(every.c[STUDY_ID].desc(), *(every.c[keyword] for keyword in order))
    return list(session.execute(statement.limit(limit).offset(offset)))


def _owners(session: Session, rows: list[Row[Any]]) -> dict[int, StudyRow]:
    ids = {row.study_id for row in rows}
    return {study.id: study for study in session.scalars(select(StudyRow).where(StudyRow.id.in_(ids)))}


def _has_modality(values: tuple[str, ...]) -> ColumnElement[bool]:
    received = select(SeriesRow.id).where(
        SeriesRow.study_id == StudyRow.id, match_text(SeriesRow.modality, values)
    )
    published = (
        select(ResultObjectRow.id)
        .join(JobRow, JobRow.id == ResultObjectRow.job_id)
        .where(JobRow.study_id == StudyRow.id, is_listed(), match_text(ResultObjectRow.modality, values))
    )
    return or_(received.exists(), published.exists())
