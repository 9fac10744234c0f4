"""Which studies a principal sees: what is not visible does not exist for it (404, not 403)."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select, true

from core.database import InstanceRow, SeriesRow, StudyRow
from service.access.principal import Principal


def is_visible(principal: Principal) -> ColumnElement[bool]:
    """Return a condition on ``StudyRow`` for a statement that selects from it."""
    if principal.sources is None:
        return true()
    return (
        select(InstanceRow.id)
        .join(SeriesRow, SeriesRow.id == InstanceRow.series_id)
        .where(SeriesRow.study_id == StudyRow.id, InstanceRow.calling_ae_title.in_(principal.sources))
        .exists()
    )
