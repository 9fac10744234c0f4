"""Settings of upkeep: what is done regularly and by itself."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from core.destinations import AETitle, Port
from core.settings.base import RoleSettings


class UpkeepSettings(RoleSettings):
    """Retention, sending the audit trail on, conditions that want a person, and the canary."""

    model_config = SettingsConfigDict(env_prefix="METSERVE_UPKEEP_")
    table: ClassVar[str] = "upkeep"

    poll_interval_s: float = Field(default=60.0, gt=0)
    """How often it is looked what there is to do."""
    keep_days: float = Field(default=0.0, ge=0)
    """A study's images and results are removed so many days after they were delivered, and committed
    where a destination is asked for that; 0: kept for ever. What is not delivered is never removed."""
    condition_repeat_s: float = Field(default=86_400.0, gt=0)
    """While a condition lasts, the webhook is told again after so long."""
    disk_warning_bytes: int = Field(default=10 * 1024**3, ge=0)
    """Below this much free disk people are told; below METSERVE_RECEIVER_MINIMUM_FREE_BYTES nothing more
    is received."""
    destination_failing_s: float = Field(default=900.0, gt=0)
    """A destination that failed to take a result for so long is told about."""
    job_waiting_s: float = Field(default=3600.0, gt=0)
    """A job that no worker took on for so long is told about."""
    audit_unsent_s: float = Field(default=3600.0, gt=0)
    """An audit message that the repository does not have after so long is told about."""
    certificate_days: float = Field(default=30.0, ge=0)
    """A certificate of ours that expires within so many days is told about."""
    canary_study: Path | None = None
    """Folder that ``metserve canary`` made: a study with a known answer, sent to our own receiver
    regularly. None: no canary."""
    canary_interval_s: float = Field(default=3600.0, gt=0)
    """From one canary to the next."""
    canary_late_s: float = Field(default=1800.0, gt=0)
    """A canary that has no results so long after its last image is late."""
    canary_host: str = "127.0.0.1"
    """Where our receiver is, as the upkeep role reaches it."""
    canary_port: Port = 11112
    """Its TCP port."""
    canary_called_ae_title: AETitle = "METSERVE"
    """The receiver's AE title (METSERVE_RECEIVER_AE_TITLE)."""
    canary_ae_title: AETitle = "CANARY"
    """The AE title canaries are sent under; with METSERVE_RECEIVER_PEERS set, one of them."""
    canary_tls: bool = False
    """Whether the receiver is reached by TLS; needs METSERVE_TLS_AUTHORITIES."""
