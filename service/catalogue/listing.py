"""What is listed: received instances, and the objects of each study's newest published revision.

Both become rows with the same columns, so that one statement pages through them. An object of ours
that a peer sent back is listed once, as received.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import aliased

from core.database import InstanceRow, JobRow, ResultObjectRow, SeriesRow, StudyRow
from core.results import ResultKind
from service.access.principal import Principal
from service.access.visibility import is_visible

Columns = Mapping[str, Any]
"""Keyword of an attribute -> the column that holds it."""

SERIES_KEYWORDS = ("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription")
IMAGE_KEYWORDS = (
    *SERIES_KEYWORDS,
    "SOPClassUID",
    "SOPInstanceUID",
    "InstanceNumber",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "AvailableTransferSyntaxUID",
)

STUDY_ID = "study_id"
"""Label of the column that leads back to the study's row."""


def present_study(principal: Principal) -> ColumnElement[bool]:
    """Return the condition on ``StudyRow`` that its files are here and may be seen."""
    return and_(is_visible(principal), StudyRow.purged_at.is_(None))


def is_listed() -> ColumnElement[bool]:
    """Return the condition on ``JobRow`` and ``ResultObjectRow`` that no newer revision replaced an object.

    A newer notice, which says that the newer revision could not be analysed, replaces an older notice
    and no results.
    """
    newer_job, newer_object = aliased(JobRow), aliased(ResultObjectRow)
    notice = ResultKind.NOTICE.value
    return ~(
        select(newer_object.id)
        .join(newer_job, newer_job.id == newer_object.job_id)
        .where(
            newer_job.study_id == JobRow.study_id,
            newer_job.revision > JobRow.revision,
            or_(newer_object.kind != notice, ResultObjectRow.kind == notice),
        )
        .exists()
    )


def is_ours_alone() -> ColumnElement[bool]:
    """Return the condition on ``ResultObjectRow`` that no peer sent the object back to us."""
    sent_back = select(InstanceRow.id).where(InstanceRow.sop_instance_uid == ResultObjectRow.sop_instance_uid)
    return ~sent_back.exists()


def received_series() -> tuple[Select[Any], Columns]:
    """Return the statement over received series, and its columns by keyword."""
    columns = _received_series_columns()
    return _selected(columns).select_from(SeriesRow).join(
        StudyRow, StudyRow.id == SeriesRow.study_id
    ), columns


def result_series() -> tuple[Select[Any], Columns]:
    """Return the statement over series that only we made, and its columns by keyword."""
    matched = _result_series_columns()
    uid = matched["SeriesInstanceUID"]
    shown = {"SeriesInstanceUID": uid} | {
        keyword: func.min(column) for keyword, column in matched.items() if column is not uid
    }
    received = select(SeriesRow.id).where(
        SeriesRow.study_id == StudyRow.id, SeriesRow.series_instance_uid == uid
    )
    statement = _of_results(_selected(shown)).where(~received.exists()).group_by(StudyRow.id, uid)
    return statement, matched


def received_images() -> tuple[Select[Any], Columns]:
    """Return the statement over received instances, and its columns by keyword."""
    columns = _received_series_columns() | {
        "SOPClassUID": InstanceRow.sop_class_uid,
        "SOPInstanceUID": InstanceRow.sop_instance_uid,
        "InstanceNumber": InstanceRow.header["instance_number"].as_integer(),
        "NumberOfFrames": InstanceRow.header["number_of_frames"].as_integer(),
        "Rows": InstanceRow.header["rows"].as_integer(),
        "Columns": InstanceRow.header["columns"].as_integer(),
        "AvailableTransferSyntaxUID": InstanceRow.transfer_syntax_uid,
    }
    statement = (
        _selected(columns)
        .select_from(InstanceRow)
        .join(SeriesRow, SeriesRow.id == InstanceRow.series_id)
        .join(StudyRow, StudyRow.id == SeriesRow.study_id)
    )
    return statement, columns


def result_images() -> tuple[Select[Any], Columns]:
    """Return the statement over objects that only we have made, and its columns by keyword."""
    columns = _result_series_columns() | {
        "SOPClassUID": ResultObjectRow.sop_class_uid,
        "SOPInstanceUID": ResultObjectRow.sop_instance_uid,
        "InstanceNumber": ResultObjectRow.instance_number,
        "NumberOfFrames": ResultObjectRow.number_of_frames,
        "Rows": ResultObjectRow.rows,
        "Columns": ResultObjectRow.columns,
        "AvailableTransferSyntaxUID": ResultObjectRow.transfer_syntax_uid,
    }
    return _of_results(_selected(columns)), columns


def _received_series_columns() -> dict[str, Any]:
    return {
        "SeriesInstanceUID": SeriesRow.series_instance_uid,
        "Modality": SeriesRow.modality,
        "SeriesNumber": SeriesRow.series_number,
        "SeriesDescription": SeriesRow.series_description,
    }


def _result_series_columns() -> dict[str, Any]:
    return {
        "SeriesInstanceUID": ResultObjectRow.series_instance_uid,
        "Modality": ResultObjectRow.modality,
        "SeriesNumber": ResultObjectRow.series_number,
        "SeriesDescription": ResultObjectRow.series_description,
    }


def _of_results(statement: Select[Any]) -> Select[Any]:
    return (
        statement.select_from(ResultObjectRow)
        .join(JobRow, JobRow.id == ResultObjectRow.job_id)
        .join(StudyRow, StudyRow.id == JobRow.study_id)
        .where(is_listed(), is_ours_alone())
    )


def _selected(columns: Columns) -> Select[Any]:
    labelled = [column.label(keyword) for keyword, column in columns.items()]
    return select(StudyRow.id.label(STUDY_ID), *labelled)
