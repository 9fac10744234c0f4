"""Settings of REST and DICOMweb: where they listen, and how much they take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from core.destinations import Port
from core.settings.base import RoleSettings

MIB = 1024**2
GIB = 1024**3


class ApiSettings(RoleSettings):
    """REST and DICOMweb."""

    model_config = SettingsConfigDict(env_prefix="METSERVE_API_")
    table: ClassVar[str] = "api"

    host: str = "127.0.0.1"
    """Address to listen on. Loopback unless changed; any other needs METSERVE_ACCESS_ settings."""
    port: Port = 8080
    """TCP port."""
    root_path: str = ""
    """Path prefix when a reverse proxy strips one."""
    public_url: Annotated[str, Field(pattern=r"^(https?://[^/?#\s]+(/[^?#\s]*)?)?$")] = ""
    """Where clients reach the service, such as https://metserve.hospital.example; DICOMweb names addresses
    below it. Empty: as each request's Host header says."""
    certificate: Path | None = None
    """Our certificate with its chain, PEM; None: plain HTTP (a proxy ends TLS, or loopback)."""
    key: Path | None = None
    """Its private key, PEM; readable by the service's user only."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may ask with a token, such as https://viewer.hospital.example. Empty: none."""
    maximum_body_bytes: int = Field(default=MIB, ge=1024)
    """Largest request body, in bytes, of everything but STOW-RS."""
    maximum_header_bytes: int = Field(default=32 * 1024, ge=4096)
    """Longest request line and headers together, in bytes."""
    body_timeout_s: float = Field(default=30.0, gt=0)
    """A body that is silent for this long, or (but for STOW-RS) is not whole by then, is given up."""
    header_timeout_s: float = Field(default=20.0, gt=0)
    """A connection that has not sent whole headers by then is closed."""
    maximum_connections: int = Field(default=200, ge=1)
    """Connections open at once; one more is answered with 503."""
    maximum_connections_per_address: int = Field(default=100, ge=1)
    """Connections of one network address, so that one client cannot take every place."""
    stow_maximum_parts: int = Field(default=10_000, ge=1)
    """Most instances of one STOW-RS request."""
    stow_maximum_part_bytes: int = Field(default=GIB, ge=1024)
    """Largest instance of a STOW-RS request, in bytes."""
    stow_maximum_bytes: int = Field(default=4 * GIB, ge=1024)
    """Largest STOW-RS request, in bytes."""

    @model_validator(mode="after")
    def _certificate_and_key_belong_together(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            missing = "METSERVE_API_KEY" if self.key is None else "METSERVE_API_CERTIFICATE"
            raise ValueError(f"certificate and key come together; {missing} is not set")
        return self

    @property
    def uses_tls(self) -> bool:
        """Whether the service ends TLS itself."""
        return self.certificate is not None
