"""What leaves the house: the outbox, and what peers committed to keep."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.database.base import Base

if TYPE_CHECKING:
    from core.database.jobs import JobRow


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
    committed_at: Mapped[datetime | None] = mapped_column(default=None)
    """When the peer took over the duty to keep every object of it (storage commitment)."""
    alerted_at: Mapped[datetime | None] = mapped_column(default=None)
    """When somebody was told that this delivery was given up."""

    job: Mapped[JobRow] = relationship(back_populates="deliveries")


class CommitmentRow(Base):
    """A storage commitment transaction (PS3.4 Annex J), ours with a peer or a peer's with us."""

    __tablename__ = "commitment"
    __table_args__ = (Index("ix_commitment_state_next", "state", "next_try_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    transaction_uid: Mapped[str] = mapped_column(index=True)
    """Ours is new for each request (2.25); a peer's is the peer's: unique only with ``role`` and peer."""
    role: Mapped[str]
    """``scu``: we asked a destination; ``scp``: a peer asked us."""
    delivery_id: Mapped[int | None] = mapped_column(ForeignKey("delivery.id"), default=None, index=True)
    """What we asked about (role scu)."""
    peer_ae_title: Mapped[str] = mapped_column(default="")
    peer_address: Mapped[str] = mapped_column(default="")
    state: Mapped[str]
    """scu: waiting, committed, failed or expired. scp: reporting, reported or given_up."""
    references: Mapped[dict[str, Any]]
    """``{"instances": [[SOP class UID, SOP instance UID], ...]}`` as asked."""
    failures: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """SOP instance UID -> failure reason (PS3.3 C.14.1.1), of what is not committed."""
    attempts: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime]
    """When the report is sent again (scp), or the answer is overdue (scu)."""
    last_error: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime]
    answered_at: Mapped[datetime | None] = mapped_column(default=None)
