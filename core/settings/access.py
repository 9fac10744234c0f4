"""Settings of who may use REST."""

from __future__ import annotations

from typing import ClassVar

from pydantic_settings import SettingsConfigDict

from core.settings.base import RoleSettings


class AccessSettings(RoleSettings):
    """Who may use REST."""

    model_config = SettingsConfigDict(env_prefix="METSERVE_ACCESS_")
    table: ClassVar[str] = "access"

    oidc_issuer: str = ""
    """Issuer of the hospital's OpenID provider, for instance https://login.hospital.example/realms/main."""
    api_keys: bool = False
    """Whether programs may use keys made by `metserve key create`."""
