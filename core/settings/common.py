"""Settings of every role: where the data is."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic_settings import SettingsConfigDict

from core.settings.base import RoleSettings


class CommonSettings(RoleSettings):
    """Where the data is; the same in every role."""

    model_config = SettingsConfigDict(env_prefix="METSERVE_")

    data_dir: Path = Path("metserve-data")
    """Folder of the study store: received instances, work, results. One file system."""
    database_url: str = ""
    """SQLAlchemy URL; empty: SQLite inside ``data_dir``. Example: postgresql+psycopg://user@host/metserve."""
    broker_url: str = ""
    """Celery broker URL; empty: message files inside ``data_dir``. Example: redis://host:6379/0."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severe level that is logged."""
    log_format: Literal["console", "json"] = "console"
    """``json`` writes one object a line."""
    alert_webhook_url: str = ""
    """Receives a JSON POST for every parked job; empty: log and metric only. Never holds patient data."""

    @property
    def resolved_database_url(self) -> str:
        """The database URL with the embedded default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'metserve.db'}"

    @property
    def embedded_broker_dir(self) -> Path | None:
        """Folder of the embedded broker's messages, None when ``broker_url`` names a real one."""
        return None if self.broker_url else self.data_dir.resolve() / "broker"
