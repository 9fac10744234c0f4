"""Metrics: what the database says at the moment Prometheus asks. No patient data, no UIDs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from core.clock import Clock
from core.database import ConditionRow, DeliveryRow, InstanceRow, JobRow, Sessions, StudyRow
from core.job import UNFINISHED_WORK, JobState
from core.study_store import StudyStore
from service.delivery.canaries import is_canary_row
from service.delivery.outbox import DeliveryState


class DatabaseCollector(Collector):
    """Counts studies, instances, jobs and deliveries whenever it is scraped.

    Parameters
    ----------
    read_sessions
        Transactions that only read.
    store
        Whose disk is watched.
    clock
        The present moment, for ages.
    destinations
        Names that always appear, with zero when nothing waits.
    """

    def __init__(
        self, read_sessions: Sessions, store: StudyStore, clock: Clock, destinations: tuple[str, ...]
    ) -> None:
        self._read_sessions = read_sessions
        self._store = store
        self._clock = clock
        self._destinations = destinations

    def describe(self) -> Iterator[Metric]:
        """Say nothing at registration: the database may not be there yet."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Count."""
        yield GaugeMetricFamily(
            "metserve_store_free_bytes", "Free disk space of the study store.", self._store.free_bytes()
        )
        try:
            with self._read_sessions() as session:
                families = [
                    _total(session, StudyRow, "metserve_studies", "Studies received."),
                    _total(session, InstanceRow, "metserve_instances", "Instances received."),
                    _jobs(session),
                    self._oldest_unfinished(session),
                    self._deliveries(session),
                    _conditions(session),
                    *self._canary(session),
                ]
        except SQLAlchemyError:
            families = []
        yield GaugeMetricFamily(
            "metserve_database_up", "1 when the database answered this scrape.", int(bool(families))
        )
        yield from families

    def _oldest_unfinished(self, session: Session) -> Metric:
        oldest = session.scalar(
            select(func.min(JobRow.created_at)).where(JobRow.state.in_([*UNFINISHED_WORK]))
        )
        age_s = self._since(oldest) if oldest is not None else 0.0
        return GaugeMetricFamily(
            "metserve_oldest_unfinished_job_age_seconds", "Age of the job that waits longest.", age_s
        )

    def _canary(self, session: Session) -> Iterator[Metric]:
        """Tell how fresh and how fast the newest canary with results is; nothing without one."""
        newest = session.execute(
            select(StudyRow.last_received_at, JobRow.finished_at)
            .join(JobRow, JobRow.study_id == StudyRow.id)
            .where(is_canary_row(), JobRow.state == JobState.DELIVERED, JobRow.finished_at.is_not(None))
            .order_by(StudyRow.id.desc())
            .limit(1)
        ).one_or_none()
        if newest is None:
            return
        sent_at, finished_at = newest
        finished_at = finished_at or sent_at  # the query lets no other through
        yield GaugeMetricFamily(
            "metserve_canary_age_seconds", "Since the newest canary with results.", self._since(sent_at)
        )
        yield GaugeMetricFamily(
            "metserve_canary_turnaround_seconds",
            "From the last image of the newest canary to its results.",
            max(0.0, (finished_at - sent_at).total_seconds()),
        )

    def _since(self, moment: datetime) -> float:
        return max(0.0, (self._clock() - moment).total_seconds())

    def _deliveries(self, session: Session) -> Metric:
        family = GaugeMetricFamily(
            "metserve_deliveries", "Deliveries by destination and state.", labels=("destination", "state")
        )
        rows = session.execute(
            select(DeliveryRow.destination, DeliveryRow.state, func.count()).group_by(
                DeliveryRow.destination, DeliveryRow.state
            )
        )
        counts = {(destination, state): count for destination, state, count in rows}
        names = sorted({*self._destinations, *(destination for destination, _ in counts)})
        for name in names:
            for state in DeliveryState:
                family.add_metric((name, state.value), counts.get((name, state.value), 0))
        return family


def open_registry(collector: DatabaseCollector) -> CollectorRegistry:
    """Return a registry of this application alone (the process-wide one is shared by tests)."""
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def _total(session: Session, table: type[StudyRow | InstanceRow], name: str, documentation: str) -> Metric:
    return GaugeMetricFamily(
        name, documentation, session.scalar(select(func.count()).select_from(table)) or 0
    )


def _conditions(session: Session) -> Metric:
    family = GaugeMetricFamily("metserve_condition", "1 for each thing that is wrong now.", labels=("key",))
    for key in session.scalars(select(ConditionRow.key).where(ConditionRow.cleared_at.is_(None))):
        family.add_metric((key,), 1)
    return family


def _jobs(session: Session) -> Metric:
    family = GaugeMetricFamily("metserve_jobs", "Jobs by state.", labels=("state",))
    rows = session.execute(select(JobRow.state, func.count()).group_by(JobRow.state))
    counts = dict(rows.all())
    for state in JobState:
        family.add_metric((state.value,), counts.get(state.value, 0))
    return family
