"""A cohort of synthetic studies as its files tell it: seeds, label maps, knobs and their digest."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import InvalidInput
from evaluation.cohorts.synthetic.planning_scan import PlanningScanSettings
from phantom.synthesis.study import SynthesisSettings


class Group(BaseModel):
    """Studies of one kind.

    Parameters
    ----------
    name
        Cases are called after it.
    studies, first_seed
        How many, and their seeds: first_seed, first_seed + 1, ...
    overrides
        Knobs that differ from the cohort's, by part: ``{"scan": {...}}``; ``planning`` is the scanner's part.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    studies: Annotated[int, Field(ge=1)]
    first_seed: Annotated[int, Field(ge=0)]
    overrides: dict[str, dict[str, Any]] = {}

    @property
    def case_names(self) -> tuple[str, ...]:
        """In the order of the seeds."""
        return tuple(f"{self.name}-{n:03d}" for n in range(self.studies))


class CohortFile(BaseModel):
    """A cohort's file as it stands.

    Parameters
    ----------
    name, description
        For people.
    generator_version
        ``phantom.synthesis.study.GENERATOR_VERSION`` when it was frozen: of the synthesis and of
        ``planning_scan``; another one makes other studies.
    digest
        Of everything the voxels follow from (``digest_cohort``), so that no edit goes unnoticed.
    settings
        Name of the JSON file beside it with every knob.
    anatomies
        Name of each label map -> SHA-256 of its labels; studies take them in turn.
    groups
        In the order in which they are run.
    voxels
        Name of a case -> SHA-256 of what is stored of it (``digest_voxels``), where the cohort was frozen.
        Other machines may round differently: only ``freeze --check`` compares them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    generator_version: int
    digest: str
    settings: str
    anatomies: dict[str, str]
    groups: tuple[Group, ...]
    voxels: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Knobs:
    """Every knob of a study and of its scanner."""

    synthesis: SynthesisSettings
    planning: PlanningScanSettings

    def to_json(self) -> str:
        """Write all of them down."""
        tables = {**asdict(self.synthesis), "planning": asdict(self.planning)}
        return json.dumps(tables, indent=1, sort_keys=True) + "\n"


def read_cohort_file(path: Path) -> CohortFile:
    """Read a cohort's TOML file.

    Raises
    ------
    InvalidInput
        It is missing, or something else.
    """
    try:
        return CohortFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InvalidInput(f"no cohort in {path}: {error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise InvalidInput(f"{path} is not a cohort of synthetic studies: {error}") from error


def read_knobs(path: Path) -> Knobs:
    """Read the JSON file of every knob; knobs it does not name are at their defaults.

    Raises
    ------
    InvalidInput
        It is missing, no JSON, or names a knob nobody knows.
    """
    try:
        tables = json.loads(path.read_text(encoding="utf-8"))
        return override_knobs(Knobs(SynthesisSettings(), PlanningScanSettings()), tables)
    except (OSError, json.JSONDecodeError) as error:
        raise InvalidInput(f"no settings of a cohort in {path}: {error}") from error


def digest_cohort(content: CohortFile, base: Knobs) -> str:
    """Return the SHA-256 of everything the voxels follow from; names and descriptions are for people.

    Parameters
    ----------
    content
        Its own ``digest`` and ``voxels`` do not count.
    base
        Every knob, read from ``content.settings``.
    """
    essence = content.model_dump(mode="json", include={"generator_version", "groups"})
    heads = list(content.anatomies.items())  # studies take them in turn: their order counts
    text = json.dumps([essence, heads, base.to_json()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def override_knobs(knobs: Knobs, tables: Mapping[str, Mapping[str, Any]]) -> Knobs:
    """Return the knobs with some of them set, by part.

    Raises
    ------
    InvalidInput
        A part or a knob does not exist.
    """
    planning = _set(knobs.planning, tables.get("planning", {}), "planning")
    parts = {
        name: _set(getattr(knobs.synthesis, name, None), table, name)
        for name, table in tables.items()
        if name != "planning"
    }
    return Knobs(replace(knobs.synthesis, **parts), planning)


def _set(part: Any, table: Mapping[str, Any], name: str) -> Any:
    """Return a settings object with some knobs set; nested settings are tables."""
    known = {f.name for f in fields(part)} if is_dataclass(part) else set()
    unknown = set(table) - known
    if unknown or not known:
        raise InvalidInput(
            f"settings {name!r} have no knobs {sorted(unknown)}, expected some of {sorted(known)}"
        )
    values = {
        key: _set(getattr(part, key), value, f"{name}.{key}")
        if is_dataclass(getattr(part, key))
        else _frozen(value)
        for key, value in table.items()
    }
    return replace(part, **values)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
