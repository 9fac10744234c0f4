"""Settings of the audit trail."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic_settings import SettingsConfigDict

from core.destinations import Port
from core.settings.base import RoleSettings


class AuditSettings(RoleSettings):
    """The audit trail."""

    model_config = SettingsConfigDict(env_prefix="METSERVE_AUDIT_")
    table: ClassVar[str] = "audit"

    source_id: str = "metserve"
    """AuditSourceID of our messages (PS3.15 A.5): what the repository knows this installation by."""
    repository_host: str = ""
    """Host of the audit record repository; empty: messages stay in the database."""
    repository_port: Port = 6514
    """Its TCP port (registered for syslog over TLS: 6514)."""
    repository_protocol: Literal["tls", "tcp"] = "tls"
    """``tcp`` sends patient names in the clear: only to a relay on the same host."""
    repository_authorities: Path | None = None
    """CA that the repository's certificate is checked against, PEM; None: the system's."""
    certificate: Path | None = None
    """Our certificate for a repository that asks for one, PEM with its chain."""
    key: Path | None = None
    """Its private key, PEM."""
