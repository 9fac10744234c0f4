"""What is made of a study: jobs, their lesions, what is said when there is no analysis."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.database.base import Base

if TYPE_CHECKING:
    from core.database.deliveries import DeliveryRow
    from core.database.studies import StudyRow


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
    lane: Mapped[str] = mapped_column(default="routine")
    """core.job.Lane: which queue its stages wait in."""
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
    result_objects: Mapped[list[ResultObjectRow]] = relationship(back_populates="job")


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


class ResultObjectRow(Base):
    """A published DICOM object as queries find it; made from the file, after it was published."""

    __tablename__ = "result_object"
    __table_args__ = (UniqueConstraint("job_id", "kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id"), index=True)
    kind: Mapped[str]
    """A core.results.ResultKind."""
    series_instance_uid: Mapped[str] = mapped_column(index=True)
    sop_instance_uid: Mapped[str] = mapped_column(index=True)
    sop_class_uid: Mapped[str]
    transfer_syntax_uid: Mapped[str]
    modality: Mapped[str] = mapped_column(default="")
    series_number: Mapped[int | None] = mapped_column(default=None)
    series_description: Mapped[str] = mapped_column(default="")
    instance_number: Mapped[int | None] = mapped_column(default=None)
    number_of_frames: Mapped[int | None] = mapped_column(default=None)
    rows: Mapped[int | None] = mapped_column(default=None)
    columns: Mapped[int | None] = mapped_column(default=None)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    indexed_at: Mapped[datetime]

    job: Mapped[JobRow] = relationship(back_populates="result_objects")
