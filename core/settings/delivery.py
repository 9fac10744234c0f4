"""Settings of delivery."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from core.destinations import AETitle, Destination
from core.settings.base import RoleSettings


class DeliverySettings(RoleSettings):
    """Pushing results."""

    model_config = SettingsConfigDict(env_prefix="METSERVE_DELIVERY_")
    table: ClassVar[str] = "delivery"

    ae_title: AETitle = "METSERVE"
    """Our AE title as a sender."""
    destinations: tuple[Destination, ...] = ()
    """JSON list of peers; empty: results are only served by REST."""
    poll_interval_s: float = Field(default=1.0, gt=0)
    """How often due deliveries are looked for."""
    retry_first_s: float = Field(default=30.0, gt=0)
    """Pause after the first failed attempt; it doubles with each further one."""
    retry_longest_s: float = Field(default=3600.0, gt=0)
    """Longest pause between attempts."""
    retry_for_s: float = Field(default=7 * 86_400.0, gt=0)
    """After this long without success a delivery is given up (alert; replay by REST)."""
    timeout_s: float = Field(default=30.0, gt=0)
    """Network and DIMSE time limit of a push."""
