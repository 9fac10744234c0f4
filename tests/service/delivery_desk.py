"""A courier with its database, its files and its destinations."""

from __future__ import annotations

from typing import Any

from core.database import DeliveryRow, JobRow
from core.destinations import DicomDestination
from core.settings import DeliverySettings
from service.delivery.courier import Courier
from tests.service.service_records import MovedClock, Records


def destination(port: int, name: str = "pacs", **fields: Any) -> DicomDestination:
    return DicomDestination(name=name, ae_title="PEER", host="127.0.0.1", port=port, **fields)


def courier(records: Records, clock: MovedClock, *destinations: DicomDestination, **settings: Any) -> Courier:
    return Courier(
        sessions=records.sessions,
        read_sessions=records.read_sessions,
        store=records.store,
        settings=DeliverySettings(
            **({"destinations": destinations, "timeout_s": 5, "poll_interval_s": 0.02} | settings)
        ),
        clock=clock,
        jitter=lambda: 0.0,
    )


def deliver(records: Records, clock: MovedClock, *destinations: DicomDestination, **settings: Any) -> JobRow:
    """Plan and make one round; give the job as it is then."""
    present = courier(records, clock, *destinations, **settings)
    present.plan()
    present.deliver_due()
    return records.job()


def only_delivery(job: JobRow) -> DeliveryRow:
    (delivery,) = job.deliveries
    return delivery
