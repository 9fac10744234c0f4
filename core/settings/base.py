"""What every role's settings share: where they are read from, and how a wrong one is told."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from core.errors import InvalidInput

CONFIG_FILE_VARIABLE = "METSERVE_CONFIG"

OptionalPort = Annotated[int, Field(ge=0, le=65535)]
"""A TCP port; 0: none."""


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


SettingsT = TypeVar("SettingsT", bound="RoleSettings")


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
