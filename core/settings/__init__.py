"""Settings: one frozen class a role, read once, from the environment, an .env file and a TOML file.

Every field can be set as ``METSERVE_<ROLE>_<FIELD>`` (common ones as ``METSERVE_<FIELD>``); lists
and tables are JSON there. A TOML file named by ``METSERVE_CONFIG`` holds the same names in tables.
"""

from core.settings.access import AccessSettings
from core.settings.api import ApiSettings
from core.settings.assembly import AssemblySettings
from core.settings.audit import AuditSettings
from core.settings.base import CONFIG_FILE_VARIABLE, RoleSettings, load
from core.settings.common import CommonSettings
from core.settings.delivery import DeliverySettings
from core.settings.models import bundled_models_dir
from core.settings.names import OTHER_NAMES, ROLE_SETTINGS, check_names
from core.settings.receiver import ReceiverSettings
from core.settings.tls import TlsSettings
from core.settings.upkeep import UpkeepSettings
from core.settings.worker import CODE_LENGTHS, WorkerSettings

__all__ = [
    "CODE_LENGTHS",
    "CONFIG_FILE_VARIABLE",
    "OTHER_NAMES",
    "ROLE_SETTINGS",
    "AccessSettings",
    "ApiSettings",
    "AssemblySettings",
    "AuditSettings",
    "CommonSettings",
    "DeliverySettings",
    "ReceiverSettings",
    "RoleSettings",
    "TlsSettings",
    "UpkeepSettings",
    "WorkerSettings",
    "bundled_models_dir",
    "check_names",
    "load",
]
