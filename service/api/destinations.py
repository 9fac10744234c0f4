"""Destinations: where results are pushed to, and how that goes."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import func, select

from core.database import DeliveryRow, JobRow, StudyRow
from core.destinations import Destination
from service.access.visibility import is_visible
from service.api.models import DestinationReply, DestinationsReply
from service.api.parts import PartsOf, PrincipalOf
from service.delivery.outbox import DeliveryState

router = APIRouter(prefix="/destinations", tags=["destinations"])


@router.get("", summary="Destinations, with the number of deliveries by state")
def list_destinations(parts: PartsOf, principal: PrincipalOf) -> DestinationsReply:
    """List the configured destinations, and count the deliveries of the studies that are visible."""
    with parts.read_sessions() as session:
        rows = session.execute(
            select(DeliveryRow.destination, DeliveryRow.state, func.count())
            .join(JobRow, JobRow.id == DeliveryRow.job_id)
            .join(StudyRow, StudyRow.id == JobRow.study_id)
            .where(is_visible(principal))
            .group_by(DeliveryRow.destination, DeliveryRow.state)
        )
        counts = {(destination, state): count for destination, state, count in rows}
    return DestinationsReply(
        destinations=tuple(_reply(destination, counts) for destination in parts.destinations)
    )


def _reply(destination: Destination, counts: dict[tuple[str, str], int]) -> DestinationReply:
    return DestinationReply(
        name=destination.name,
        ae_title=getattr(destination, "ae_title", None),
        host=getattr(destination, "host", None),
        port=getattr(destination, "port", None),
        url=getattr(destination, "url", None),
        profile=destination.profile,
        objects=destination.objects,
        notices=destination.notices,
        deliveries={state: counts.get((destination.name, state.value), 0) for state in DeliveryState},
    )
