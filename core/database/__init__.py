"""The truth as SQLAlchemy tables.

The schema is made and changed by Alembic (core/migrations), never by ``create_all`` outside tests.
"""

from core.database.base import Base, UtcDateTime
from core.database.deliveries import CommitmentRow, DeliveryRow
from core.database.engine import (
    DEFAULT_CONNECTIONS,
    READ_ONLY,
    SQLITE_BUSY_TIMEOUT_MS,
    Sessions,
    open_engine,
    open_sessions,
)
from core.database.jobs import JobRow, LesionRow, NoticeRow, ResultObjectRow
from core.database.oversight import ApiKeyRow, AuditRow, ConditionRow
from core.database.studies import InstanceRow, SeriesRow, StudyRow

__all__ = [
    "DEFAULT_CONNECTIONS",
    "READ_ONLY",
    "SQLITE_BUSY_TIMEOUT_MS",
    "ApiKeyRow",
    "AuditRow",
    "Base",
    "CommitmentRow",
    "ConditionRow",
    "DeliveryRow",
    "InstanceRow",
    "JobRow",
    "LesionRow",
    "NoticeRow",
    "ResultObjectRow",
    "SeriesRow",
    "Sessions",
    "StudyRow",
    "UtcDateTime",
    "open_engine",
    "open_sessions",
]
