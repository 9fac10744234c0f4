"""Settings: one frozen class a role, read once, from the environment, an .env file and a TOML file.

Every field can be set as ``METSERVE_<ROLE>_<FIELD>`` (common ones as ``METSERVE_<FIELD>``); lists
and tables are JSON there. A TOML file named by ``METSERVE_CONFIG`` holds the same names in tables.
"""

from __future__ import annotations

import difflib
import os
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from core.destinations import AETitle, Destination, Port
from core.errors import InvalidInput
from core.results import StructureStyle

CONFIG_FILE_VARIABLE = "METSERVE_CONFIG"


OptionalPort = Annotated[int, Field(ge=0, le=65535)]

CODE_LENGTHS = (16, 16, 64)
"""Longest code value (SH), scheme (SH) and meaning (LO), in characters (PS3.5 6.2)."""


def _check_code(value: str) -> str:
    parts = [part.strip() for part in value.split("|")] if value.strip() else []
    fits = len(parts) == len(CODE_LENGTHS) and all(
        1 <= len(part) <= longest and part.isprintable() and "\\" not in part
        for part, longest in zip(parts, CODE_LENGTHS, strict=True)
    )
    if parts and not fits:
        raise ValueError(
            f"code {value!r}: expected value|scheme|meaning of at most 16, 16 and 64 characters, "
            "for instance 25056-3|LN|MRI unspecified body region"
        )
    return "|".join(parts)


CodeTriple = Annotated[str, AfterValidator(_check_code)]
"""``value|scheme|meaning``; empty: the default code."""


class _TableSource(TomlConfigSettingsSource):
    """One table of the TOML file; the common settings stand at its top."""

    def __init__(self, settings_cls: type[BaseSettings], file: Path, table: str) -> None:
        super().__init__(settings_cls, file)
        self.toml_data = self.toml_data.get(table, {}) if table else self.toml_data
        fields = {k: v for k, v in self.toml_data.items() if k in settings_cls.model_fields}
        self.init_kwargs = fields


class RoleSettings(BaseSettings):
    """What every role's settings share: where they are read from."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        use_attribute_docstrings=True,
    )
    table: ClassVar[str] = ""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of precedence: arguments, environment, .env, secrets, TOML file, defaults."""
        sources = [init_settings, env_settings, dotenv_settings, file_secret_settings]
        file = os.environ.get(CONFIG_FILE_VARIABLE)  # noqa: TID251 - the settings module
        if file:
            if not Path(file).is_file():
                raise InvalidInput(f"{CONFIG_FILE_VARIABLE} names {file!r}, expected a readable TOML file")
            sources.append(_TableSource(settings_cls, Path(file), cls.table))
        return tuple(sources)


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


class ReceiverSettings(RoleSettings):
    """The Storage SCP."""

    model_config = SettingsConfigDict(env_prefix="METSERVE_RECEIVER_")
    table: ClassVar[str] = "receiver"

    ae_title: AETitle = "METSERVE"
    """Our AE title; a peer must call it."""
    host: str = "127.0.0.1"
    """Address to listen on. Loopback unless changed: nothing is open by accident."""
    port: Port = 11112
    """TCP port (registered for DICOM: 11112)."""
    calling_ae_titles: tuple[AETitle, ...] = ()
    """AE titles that may connect; empty: any."""
    maximum_associations: int = Field(default=25, ge=1)
    """Associations served at once."""
    maximum_associations_per_address: int = Field(default=20, ge=1)
    """Connections of one network address, so that a silent peer cannot take every place."""
    maximum_pdu_bytes: int = Field(default=131_072, ge=4096)
    """Largest PDU we ask for, in bytes."""
    acse_timeout_s: float = Field(default=30.0, gt=0)
    """Seconds to wait for association messages."""
    dimse_timeout_s: float = Field(default=30.0, gt=0)
    """Seconds to wait for a DIMSE message."""
    network_timeout_s: float = Field(default=60.0, gt=0)
    """Seconds of silence after which an association is closed."""
    keep_other_storage_classes: bool = True
    """Accept and keep objects that are not MR (never analysed), so that a router's job does not fail."""
    minimum_free_bytes: int = Field(default=2 * 1024**3, ge=0)
    """Below this much free disk a C-STORE is refused with 0xA700 (out of resources)."""
    metrics_port: OptionalPort = 0
    """TCP port, on ``host``, where Prometheus finds this process' own counters; 0: none."""


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


class WorkerSettings(RoleSettings):
    """The computing side."""

    model_config = SettingsConfigDict(env_prefix="METSERVE_WORKER_")
    table: ClassVar[str] = "worker"

    models_dir: Path | None = None
    """Folder with ensemble.toml; None: the set that came with metserve. An older set rolls back."""
    shadow_models_dir: Path | None = None
    """A second model set that runs beside the released one; its findings are stored, never delivered."""
    profile: str = "full"
    """Inference profile of ensemble.toml. Anything but ``full`` is flagged in every result."""
    device: Literal["auto", "cuda", "openvino", "cpu"] = "auto"
    """Where members run; ``auto`` takes the first of cuda, openvino, cpu that is there."""
    threads: int = Field(default=0, ge=0)
    """Threads a process computes with; 0: every core."""
    queues: tuple[Literal["prepare", "infer", "encode"], ...] = ("prepare", "infer", "encode")
    """Stages this worker takes. A GPU worker takes ``infer`` alone."""
    concurrency: int = Field(default=1, ge=1)
    """Worker child processes; one per GPU, or as many CPU stages as memory allows."""
    lease_s: float = Field(default=60.0, gt=0)
    """A worker that does not renew its lease for this long is taken for dead."""
    stage_time_limit_s: int = Field(default=1800, gt=0)
    """A stage that runs longer is ended and counts as failed."""
    cache_dir: Path | None = None
    """Where compiled members are kept between starts; None: ``data_dir``/cache."""
    structure_style: StructureStyle = StructureStyle.NEUTRAL
    """Regions of a structure set: ``neutral`` (AI_BM01, no type) or ``target`` (GTV_BM01, type GTV)."""
    probability_map: bool = False
    """Also write the mean network output as a fractional segmentation."""
    rejection_note: bool = False
    """A new revision also writes a note that rejects the older revisions' objects (IHE IOCM)."""
    procedure_code: CodeTriple = ""
    """Imaging procedure, ``value|scheme|meaning``; empty: 25056-3|LN|MRI unspecified body region."""
    equipment_purpose_code: CodeTriple = ""
    """Purpose of the algorithm's equipment item, likewise; empty: 109102|DCM|Processing Equipment."""


SettingsT = TypeVar("SettingsT", bound="RoleSettings")

ROLE_SETTINGS: tuple[type[RoleSettings], ...] = (
    CommonSettings,
    ReceiverSettings,
    AssemblySettings,
    ApiSettings,
    DeliverySettings,
    WorkerSettings,
)


def load(role: type[SettingsT], **overrides: Any) -> SettingsT:
    """Read one role's settings.

    Raises
    ------
    InvalidInput
        Names each setting that is wrong, its value and what was expected.
    """
    try:
        return role(**overrides)
    except (SettingsError, tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
        cause = f"{error.__cause__}: " if error.__cause__ else ""
        raise InvalidInput(f"settings: {cause}{error}; lists and tables are JSON") from error
    except ValidationError as error:
        prefix = str(role.model_config.get("env_prefix", ""))
        lines = [
            f"{prefix}{'.'.join(str(part) for part in e['loc']).upper()}: {e['msg']} (got {e.get('input')!r})"
            for e in error.errors()
        ]
        raise InvalidInput("settings: " + "; ".join(lines)) from error


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


def bundled_models_dir() -> Path:
    """Return the model set that came with metserve.

    It stands beside the sources, or in the environment's share folder.
    """
    beside_sources = Path(__file__).resolve().parent.parent / "models"
    if (beside_sources / "ensemble.toml").is_file():
        return beside_sources
    return Path(sys.prefix) / "share" / "metserve" / "models"
