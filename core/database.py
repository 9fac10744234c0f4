"""The truth: studies, series, instances, jobs, lesions, deliveries and notices as SQLAlchemy tables.

SQLite in WAL mode when embedded, PostgreSQL by a setting. The schema is made and changed by Alembic
(core/migrations), never by ``create_all`` outside tests.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Engine,
    ForeignKey,
    Index,
    UniqueConstraint,
    create_engine,
    event,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, sessionmaker
from sqlalchemy.types import TypeDecorator

READ_ONLY = "metserve_read_only"
"""Execution option of an engine whose transactions only read."""

SQLITE_BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for another; receivers, workers and REST share the file."""


DEFAULT_CONNECTIONS = 5
"""Connections a process keeps; under a rush it opens ten more, for as long as they are needed."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, always with a time zone; databases that know none store UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive moments, store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy's protocol
    ) -> datetime | None:
        """Give the time zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of every table."""

    type_annotation_map = {dict[str, Any]: JSON, datetime: UtcDateTime}  # noqa: RUF012 - SQLAlchemy's protocol


class StudyRow(Base):
    """A study some of whose instances were received."""

    __tablename__ = "study"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(unique=True)
    patient_id: Mapped[str] = mapped_column(default="", index=True)
    """Index for comparing with the patient's other studies."""
    issuer_of_patient_id: Mapped[str] = mapped_column(default="")
    patient_name: Mapped[str] = mapped_column(default="")
    patient_birth_date: Mapped[str] = mapped_column(default="")
    patient_sex: Mapped[str] = mapped_column(default="")
    accession_number: Mapped[str] = mapped_column(default="")
    study_date: Mapped[str] = mapped_column(default="")
    study_time: Mapped[str] = mapped_column(default="")
    study_description: Mapped[str] = mapped_column(default="")
    first_received_at: Mapped[datetime]
    last_received_at: Mapped[datetime] = mapped_column(index=True)
    """Last NEW instance; duplicates do not count."""
    analysis_requested_at: Mapped[datetime | None] = mapped_column(default=None)
    """Somebody asked not to wait for the quiet period."""
    awaits_assembly: Mapped[bool] = mapped_column(default=True, index=True)
    """True from a new instance until a job (of whatever outcome) answers it."""
    assembly: Mapped[dict[str, Any] | None] = mapped_column(default=None, deferred=True)
    """service.selection.study_assembly.StudyAssembly as JSON, the newest; read when asked for."""

    series: Mapped[list[SeriesRow]] = relationship(back_populates="study", order_by="SeriesRow.id")
    jobs: Mapped[list[JobRow]] = relationship(back_populates="study", order_by="JobRow.revision")


class SeriesRow(Base):
    """A series of a study."""

    __tablename__ = "series"
    __table_args__ = (UniqueConstraint("study_id", "series_instance_uid"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    series_instance_uid: Mapped[str] = mapped_column(index=True)
    modality: Mapped[str] = mapped_column(default="")
    series_number: Mapped[int | None] = mapped_column(default=None)
    series_description: Mapped[str] = mapped_column(default="")

    study: Mapped[StudyRow] = relationship(back_populates="series")
    instances: Mapped[list[InstanceRow]] = relationship(back_populates="series", order_by="InstanceRow.id")


class InstanceRow(Base):
    """An instance that was acknowledged; its file is whole and on disk."""

    __tablename__ = "instance"

    id: Mapped[int] = mapped_column(primary_key=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"), index=True)
    sop_instance_uid: Mapped[str] = mapped_column(unique=True)
    sop_class_uid: Mapped[str]
    transfer_syntax_uid: Mapped[str]
    sha256: Mapped[str]
    """Of the data set as sent, without file meta information; hexadecimal."""
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    path: Mapped[str]
    """Relative to the study store."""
    header: Mapped[dict[str, Any]]
    """core.study.InstanceHeader as JSON."""
    calling_ae_title: Mapped[str] = mapped_column(default="")
    peer_address: Mapped[str] = mapped_column(default="")
    received_at: Mapped[datetime]

    series: Mapped[SeriesRow] = relationship(back_populates="instances")


class JobRow(Base):
    """One analysis of one revision of a study."""

    __tablename__ = "job"
    __table_args__ = (
        UniqueConstraint("study_id", "revision"),
        Index("ix_job_state_enqueued", "state", "enqueued_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    revision: Mapped[int]
    state: Mapped[str]
    outcome: Mapped[str | None] = mapped_column(default=None)
    reason: Mapped[str] = mapped_column(default="")
    """Machine-readable: an UnsuitableReason, or the class of the error that parked the job."""
    message: Mapped[str] = mapped_column(default="")
    """For people: what was found and what was expected."""
    selection: Mapped[dict[str, Any]]
    """core.study.Selection as JSON: the exact instances this job is bound to."""
    stage_attempts: Mapped[int] = mapped_column(default=0)
    """How often the present stage was started."""
    fence: Mapped[int] = mapped_column(default=0)
    """Grows with every claim; a worker with an older number may write nothing."""
    artefacts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """stage -> fence of the attempt whose artefacts are valid."""
    lease_owner: Mapped[str | None] = mapped_column(default=None)
    lease_until: Mapped[datetime | None] = mapped_column(default=None)
    enqueued_at: Mapped[datetime | None] = mapped_column(default=None)
    not_before: Mapped[datetime | None] = mapped_column(default=None)
    progress: Mapped[float] = mapped_column(default=0.0)
    """0..1 over the whole analysis."""
    stage_seconds: Mapped[dict[str, Any]] = mapped_column(default=dict)
    model_digest: Mapped[str] = mapped_column(default="")
    report: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    """core.lesion.FindingsReport as JSON, once published."""
    results: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """kind (a core.results.ResultKind, or findings) -> core.job_records.ResultFile as JSON."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    finished_at: Mapped[datetime | None] = mapped_column(default=None)
    alerted_at: Mapped[datetime | None] = mapped_column(default=None)
    """When somebody was told that this job is parked."""

    study: Mapped[StudyRow] = relationship(back_populates="jobs")
    lesions: Mapped[list[LesionRow]] = relationship(back_populates="job", order_by="LesionRow.number")
    deliveries: Mapped[list[DeliveryRow]] = relationship(back_populates="job", order_by="DeliveryRow.id")
    notice: Mapped[NoticeRow | None] = relationship(back_populates="job")


class LesionRow(Base):
    """A lesion of a published result, indexed for comparison with the patient's other studies."""

    __tablename__ = "lesion"
    __table_args__ = (UniqueConstraint("job_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id"), index=True)
    number: Mapped[int]
    tracking_uid: Mapped[str] = mapped_column(index=True)
    volume_mm3: Mapped[float]
    centroid_x_lps_mm: Mapped[float]
    centroid_y_lps_mm: Mapped[float]
    centroid_z_lps_mm: Mapped[float]

    job: Mapped[JobRow] = relationship(back_populates="lesions")


class DeliveryRow(Base):
    """Outbox: one result set on its way to one destination."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("job_id", "destination"),
        Index("ix_delivery_state_next", "state", "next_try_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id"), index=True)
    destination: Mapped[str]
    state: Mapped[str]
    """pending, delivered or given_up."""
    attempts: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime]
    last_error: Mapped[str] = mapped_column(default="")
    remark: Mapped[str] = mapped_column(default="")
    """Of a delivery that arrived: what the peer did not accept, and what it has instead."""
    created_at: Mapped[datetime]
    delivered_at: Mapped[datetime | None] = mapped_column(default=None)
    alerted_at: Mapped[datetime | None] = mapped_column(default=None)
    """When somebody was told that this delivery was given up."""

    job: Mapped[JobRow] = relationship(back_populates="deliveries")


class NoticeRow(Base):
    """What is said, as a DICOM object, of a study that was not analysed: due, made, on its way."""

    __tablename__ = "notice"
    __table_args__ = (Index("ix_notice_state_ring", "state", "next_ring_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id"), unique=True)
    state: Mapped[str]
    """core.notice_records.NoticeState."""
    attempts: Mapped[int] = mapped_column(default=0)
    """Grows with every claim; a worker with an older number may write nothing."""
    not_before: Mapped[datetime | None] = mapped_column(default=None)
    """Nobody takes it before: a worker has it, or it rests after a failure."""
    next_ring_at: Mapped[datetime]
    last_error: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime]
    alerted_at: Mapped[datetime | None] = mapped_column(default=None)
    """When somebody was told that this notice cannot be made."""

    job: Mapped[JobRow] = relationship(back_populates="notice")


Sessions = sessionmaker[Session]
"""A factory of sessions; ``with sessions.begin() as session`` is one transaction."""


def open_engine(url: str, *, connections: int = DEFAULT_CONNECTIONS) -> Engine:
    """Connect to the database a URL names.

    SQLite runs in WAL mode with full synchronisation (an acknowledged instance survives a power
    cut), and writers take the lock at once instead of failing half way. Error messages leave the
    parameters out: they hold patient data, and error messages are logged.

    Parameters
    ----------
    connections
        Kept open for reuse: as many as there are threads that work with the database at once.
        SQLite's writers queue for the file itself, each on a connection of its own.
    """
    engine = create_engine(url, pool_size=connections, pool_pre_ping=True, hide_parameters=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite_connection)
        event.listen(engine, "begin", _begin)
    return engine


def _prepare_sqlite_connection(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy emits BEGIN itself, below
    for pragma in (
        f"busy_timeout={SQLITE_BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def open_sessions(engine: Engine, *, read_only: bool = False) -> Sessions:
    """Return the factory of transactions on an engine.

    Parameters
    ----------
    engine
        From ``open_engine``.
    read_only
        Transactions that only read never wait for a writer (SQLite).
    """
    bind = engine.execution_options(**{READ_ONLY: True}) if read_only else engine
    return sessionmaker(bind, expire_on_commit=False)
