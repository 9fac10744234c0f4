"""Settings of who may use REST."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from core.settings.base import RoleSettings

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

RoleName = Literal["viewer", "operator", "admin", "service"]

SignatureAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
"""Algorithms with a public key; ``none`` and HS256 with a public key are classic forgeries."""


class AccessSettings(RoleSettings):
    """Who may use REST and DICOMweb. Nothing set: everybody who reaches it, so loopback only."""

    model_config = SettingsConfigDict(env_prefix="METSERVE_ACCESS_")
    table: ClassVar[str] = "access"

    open: bool = False
    """Ask nobody who they are, also where REST listens beyond loopback: a proxy in front does."""
    api_keys: bool = False
    """Whether programs may use keys made by `metserve key create`."""
    oidc_issuer: str = ""
    """Issuer of the hospital's OpenID provider, for instance https://login.hospital.example/realms/main."""
    oidc_audience: str = ""
    """Who our tokens are made for (aud): what the provider calls this service. Needed with an issuer."""
    oidc_algorithms: tuple[SignatureAlgorithm, ...] = ("RS256", "PS256", "ES256")
    """Signatures that are accepted."""
    oidc_authorities: Path | None = None
    """Certificate authorities of the provider, PEM; None: the system's."""
    oidc_name_claim: str = "sub"
    """Claim that names the user in the audit trail; sub is what never changes."""
    oidc_roles_claim: str = "roles"
    """Claim with the user's roles; dots go deeper (realm_access.roles)."""
    oidc_role_names: dict[str, RoleName] = {}  # noqa: RUF012 - pydantic copies it
    """JSON table of the provider's role -> viewer, operator, admin, service. Empty: they are named alike."""
    oidc_sources_claim: str = ""
    """Claim with AE titles: only studies they sent are visible ("*": every study). Empty: everyone
    sees every study."""
    oidc_leeway_s: int = Field(default=30, ge=0, le=300)
    """How far the provider's clock may be from ours."""
    login_client_id: str = ""
    """Our client id at the provider, for logins with a browser; empty: no login."""
    login_client_secret_file: Path | None = None
    """File with the client's secret; None: a public client (PKCE alone)."""
    login_scope: str = "openid profile"
    """What is asked of the provider at a login; some send roles only with a scope of their own."""
    login_public_url: str = ""
    """How browsers reach us, for instance https://metserve.hospital.example; needed with a client id."""
    login_session_s: int = Field(default=8 * 3600, ge=60)
    """How long a login lasts."""
    login_session_key_file: Path | None = None
    """File with a secret (32 bytes or more) that signs session cookies; None: made at each start."""
    metrics_open: bool = False
    """Whether Prometheus may read /metrics without a token although access is set."""
    requests_per_minute: int = Field(default=6000, ge=1)
    """Requests of one user, key or address; more are answered with 429. Viewers load a frame a request."""
    failures_per_minute: int = Field(default=20, ge=1)
    """Refused tokens and keys of one address; then it is answered with 429."""

    @property
    def is_configured(self) -> bool:
        """Whether anybody is asked who they are."""
        return self.api_keys or bool(self.oidc_issuer)

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.open and self.is_configured:
            raise ValueError(
                "open asks nobody, METSERVE_ACCESS_OIDC_ISSUER and METSERVE_ACCESS_API_KEYS ask everybody; "
                "set one or the other"
            )
        if self.oidc_issuer and not self.oidc_audience:
            raise ValueError("METSERVE_ACCESS_OIDC_ISSUER needs METSERVE_ACCESS_OIDC_AUDIENCE")
        for name in ("oidc_issuer", "login_public_url"):
            _check_is_https(name, getattr(self, name))
        if self.login_client_id and not (self.oidc_issuer and self.login_public_url):
            raise ValueError(
                "METSERVE_ACCESS_LOGIN_CLIENT_ID needs METSERVE_ACCESS_OIDC_ISSUER and "
                "METSERVE_ACCESS_LOGIN_PUBLIC_URL"
            )
        return self


def _check_is_https(name: str, url: str) -> None:
    """Refuse plain HTTP but on this machine: who can read a login can be the user."""
    parts = urlsplit(url)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS)
    if url and not is_safe:
        raise ValueError(f"{name} is {url!r}, expected https://host or, on this machine, http://localhost")
