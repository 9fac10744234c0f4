"""Settings of delivery."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from core.destinations import AETitle, AnyDestination
from core.settings.base import RoleSettings


class DeliverySettings(RoleSettings):
    """Pushing results."""

    model_config = SettingsConfigDict(env_prefix="METSERVE_DELIVERY_")
    table: ClassVar[str] = "delivery"

    ae_title: AETitle = "METSERVE"
    """Our AE title as a sender."""
    destinations: tuple[AnyDestination, ...] = ()
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
    slowest_bytes_per_s: float = Field(default=10_000.0, gt=0)
    """A slow line: the time limit of an object grows by its size divided by this."""
    commitment_wait_s: float = Field(default=5.0, ge=0)
    """How long the answer to a storage commitment request is awaited on the same association; peers that
    report later connect to our receiver."""
    commitment_overdue_s: float = Field(default=3600.0, gt=0)
    """After this long without a report storage commitment is asked for again."""
    commitment_tries: int = Field(default=3, ge=1)
    """How often objects that a peer stored and did not commit to keep are sent before they are given up."""
