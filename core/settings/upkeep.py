"""Settings of upkeep: what is done regularly and by itself."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from core.settings.base import RoleSettings


class UpkeepSettings(RoleSettings):
    """Retention, and sending the audit trail on."""

    model_config = SettingsConfigDict(env_prefix="METSERVE_UPKEEP_")
    table: ClassVar[str] = "upkeep"

    poll_interval_s: float = Field(default=60.0, gt=0)
    """How often it is looked what there is to do."""
    keep_days: float = Field(default=0.0, ge=0)
    """A study's images and results are removed so many days after they were delivered, and committed
    where a destination is asked for that; 0: kept for ever. What is not delivered is never removed."""
