"""Conditions: what is wrong now and wants a person, for operators."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from sqlalchemy import select

from core.database import ConditionRow
from service.api.models import Model, Reply
from service.api.parts import PartsOf

router = APIRouter(prefix="/conditions", tags=["conditions"])


class ConditionReply(Model):
    """Something that is wrong now. Holds no patient data."""

    key: str
    """What is wrong, and behind a colon with what: ``disk``, ``destination:pacs``."""
    message: str
    since: datetime
    alerted_at: datetime | None
    """When the webhook was last told; null: not yet."""


class ConditionsReply(Reply):
    """Everything that is wrong now, by key."""

    conditions: tuple[ConditionReply, ...]


@router.get("", summary="What is wrong now and wants a person")
def list_conditions(parts: PartsOf) -> ConditionsReply:
    """List the conditions that the upkeep role found and that are not gone."""
    statement = select(ConditionRow).where(ConditionRow.cleared_at.is_(None)).order_by(ConditionRow.key)
    with parts.read_sessions() as session:
        return ConditionsReply(
            conditions=tuple(
                ConditionReply(key=row.key, message=row.message, since=row.since, alerted_at=row.alerted_at)
                for row in session.scalars(statement)
            )
        )
