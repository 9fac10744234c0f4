"""Settings of TLS, the same files for what we accept and what we open."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic_settings import SettingsConfigDict

from core.settings.base import RoleSettings


class TlsSettings(RoleSettings):
    """DICOM over TLS (PS3.15 B, BCP 195)."""

    model_config = SettingsConfigDict(env_prefix="METSERVE_TLS_")
    table: ClassVar[str] = "tls"

    certificate: Path | None = None
    """Our certificate with its chain, PEM; None: no TLS."""
    key: Path | None = None
    """Its private key, PEM; readable by the service's user only."""
    authorities: Path | None = None
    """The certificate authorities whose certificates peers show, PEM; the hospital's own."""
    revocation_list: Path | None = None
    """Revoked certificates of those authorities, PEM; None: revocation is not checked."""
