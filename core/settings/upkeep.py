"""Settings of upkeep: what is done regularly and by itself."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from core.settings.base import RoleSettings


class UpkeepSettings(RoleSettings):
    """Retention, canary, alerts."""

    model_config = SettingsConfigDict(env_prefix="METSERVE_UPKEEP_")
    table: ClassVar[str] = "upkeep"

    poll_interval_s: float = Field(default=60.0, gt=0)
    """How often it is looked what there is to do."""
