"""Settings of REST."""

from __future__ import annotations

from typing import ClassVar

from pydantic_settings import SettingsConfigDict

from core.destinations import Port
from core.settings.base import RoleSettings


class ApiSettings(RoleSettings):
    """REST."""

    model_config = SettingsConfigDict(env_prefix="METSERVE_API_")
    table: ClassVar[str] = "api"

    host: str = "127.0.0.1"
    """Address to listen on. Loopback unless changed."""
    port: Port = 8080
    """TCP port."""
    root_path: str = ""
    """Path prefix when a reverse proxy strips one."""
