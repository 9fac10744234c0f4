"""Settings of the audit trail."""

from __future__ import annotations

from typing import ClassVar

from pydantic_settings import SettingsConfigDict

from core.settings.base import RoleSettings


class AuditSettings(RoleSettings):
    """The audit trail."""

    model_config = SettingsConfigDict(env_prefix="METSERVE_AUDIT_")
    table: ClassVar[str] = "audit"

    source_id: str = "metserve"
    """AuditSourceID of our messages (PS3.15 A.5): what the repository knows this installation by."""
