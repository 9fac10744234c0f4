"""Settings of assembly: when a study counts as complete."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from core.settings.base import RoleSettings


class AssemblySettings(RoleSettings):
    """When a study counts as complete."""

    model_config = SettingsConfigDict(env_prefix="METSERVE_ASSEMBLY_")
    table: ClassVar[str] = "assembly"

    quiet_period_s: float = Field(default=20.0, ge=0)
    """Both roles present and nothing new for this long: analyse."""
    incomplete_quiet_period_s: float = Field(default=300.0, ge=0)
    """A role is missing and nothing new for this long: analyse what can be, or say why not."""
    poll_interval_s: float = Field(default=1.0, gt=0)
    """How often studies and lost jobs are looked for."""
    requeue_after_s: float = Field(default=300.0, gt=0)
    """A waiting job nobody took for this long is put on the queue again (its message may be lost)."""
