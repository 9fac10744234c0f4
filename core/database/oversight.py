"""What people are held to and told: the audit trail, API keys, conditions that want attention."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from core.database.base import Base


class AuditRow(Base):
    """One audit message (PS3.15 A.5) that holds the digest of the one before: none can go missing."""

    __tablename__ = "audit_event"
    __table_args__ = (Index("ix_audit_event_unsent", "sent_at", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    """Position in the chain, from 1, without gaps."""
    recorded_at: Mapped[datetime] = mapped_column(index=True)
    kind: Mapped[str] = mapped_column(index=True)
    """core.audit.AuditKind."""
    outcome: Mapped[int]
    """EventOutcomeIndicator: 0, 4, 8 or 12."""
    message: Mapped[str]
    """The XML, as it is sent to the audit record repository."""
    previous_digest: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    """SHA-256 of the previous digest, the position and the message; hexadecimal."""
    sent_at: Mapped[datetime | None] = mapped_column(default=None)
    """When the repository had it; None while it waits, or when none is configured."""


class ApiKeyRow(Base):
    """A key of a program that uses REST; the secret itself is nowhere."""

    __tablename__ = "api_key"

    id: Mapped[str] = mapped_column(primary_key=True)
    """Stands in the key itself, before the secret."""
    name: Mapped[str]
    """For people: who uses it."""
    secret_digest: Mapped[str]
    """SHA-256 of the 32 random bytes; hexadecimal."""
    roles: Mapped[dict[str, Any]]
    """``{"roles": [...]}``: names of service.access.Role."""
    sources: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """``{"ae_titles": [...]}``: only studies these AE titles sent are visible; empty: every study."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None] = mapped_column(default=None)
    last_used_at: Mapped[datetime | None] = mapped_column(default=None)
    revoked_at: Mapped[datetime | None] = mapped_column(default=None)


class ConditionRow(Base):
    """Something that is wrong now and wants a person: a full disk, a peer out of reach, a wrong canary."""

    __tablename__ = "condition"

    key: Mapped[str] = mapped_column(primary_key=True)
    """What is wrong, and with what: ``disk``, ``destination:pacs``, ``canary``."""
    message: Mapped[str] = mapped_column(default="")
    since: Mapped[datetime]
    alerted_at: Mapped[datetime | None] = mapped_column(default=None)
    cleared_at: Mapped[datetime | None] = mapped_column(default=None)
