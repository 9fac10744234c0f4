"""What was received: studies, series, instances."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.database.base import Base

if TYPE_CHECKING:
    from core.database.jobs import JobRow


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
    lane: Mapped[str] = mapped_column(default="routine")
    """core.job.Lane of its next jobs."""
    purged_at: Mapped[datetime | None] = mapped_column(default=None)
    """When its files were removed by retention; its jobs and lesions stay known."""
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
    calling_ae_title: Mapped[str] = mapped_column(default="", index=True)
    """Who sent it; a restricted principal sees the studies of some senders only."""
    peer_address: Mapped[str] = mapped_column(default="")
    received_at: Mapped[datetime]

    series: Mapped[SeriesRow] = relationship(back_populates="instances")
