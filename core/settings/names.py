"""Every setting by name, so that a misspelt one is told and not ignored."""

from __future__ import annotations

import difflib
import os

from pydantic_settings import DotEnvSettingsSource

from core.errors import InvalidInput
from core.settings.access import AccessSettings
from core.settings.api import ApiSettings
from core.settings.assembly import AssemblySettings
from core.settings.audit import AuditSettings
from core.settings.base import CONFIG_FILE_VARIABLE, RoleSettings
from core.settings.common import CommonSettings
from core.settings.delivery import DeliverySettings
from core.settings.receiver import ReceiverSettings
from core.settings.tls import TlsSettings
from core.settings.upkeep import UpkeepSettings
from core.settings.worker import WorkerSettings

ROLE_SETTINGS: tuple[type[RoleSettings], ...] = (
    CommonSettings,
    ReceiverSettings,
    AssemblySettings,
    ApiSettings,
    DeliverySettings,
    WorkerSettings,
    TlsSettings,
    AccessSettings,
    AuditSettings,
    UpkeepSettings,
)

OTHER_NAMES = frozenset(
    {
        CONFIG_FILE_VARIABLE,
        "METSERVE_CPU_QUEUES",
        "METSERVE_DICOM_BIND",
        "METSERVE_DICOM_PUBLISHED_PORT",
        "METSERVE_HTTP_BIND",
        "METSERVE_HTTP_PUBLISHED_PORT",
    }
)
"""Names that belong to metserve but to no role: the TOML file's, and docker-compose.yml's own."""


def check_names() -> None:
    """Refuse METSERVE_ variables that no role reads: a misspelt setting must not be ignored in silence.

    Raises
    ------
    InvalidInput
        Names the variable and the setting that was probably meant.
    """
    known = {
        f"{role.model_config.get('env_prefix', '')}{field}".upper()
        for role in ROLE_SETTINGS
        for field in role.model_fields
    } | OTHER_NAMES
    given = [*os.environ, *DotEnvSettingsSource(CommonSettings, env_file=".env").env_vars]  # noqa: TID251
    for name in map(str.upper, given):
        if not name.startswith("METSERVE_") or name.startswith("METSERVE_TEST_") or name in known:
            continue
        meant = difflib.get_close_matches(name, known, n=1)
        hint = f"; {meant[0]} was probably meant" if meant else "; .env.example lists every setting"
        raise InvalidInput(f"settings: {name} is unknown{hint}")
