"""A cohort of synthetic studies: a file of knobs, anatomies and seeds, from which every case is made anew."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import InvalidInput
from core.geometry import Grid
from evaluation.cohorts.case import Case, CaseGroup, Cohort
from evaluation.cohorts.synthetic.planning_scan import PlanningScan, PlanningScanSettings, scan_pair
from phantom.fields import Floats
from phantom.synthesis.anatomy.heads import open_anatomies
from phantom.synthesis.anatomy.label_map import Anatomy
from phantom.synthesis.study import GENERATOR_VERSION, SynthesisSettings, build_scene
from worker.volumes import SliceReference, Volume

ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
FRAME_OF_REFERENCE = "1.2.826.0.1.3680043.10.543.1"
"""No instance lies behind a synthetic volume; a volume names one all the same."""


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


class CohortFile(BaseModel):
    """A cohort's file as it stands.

    Parameters
    ----------
    name, description
        For people.
    generator_version
        Of the synthesis it was frozen with; another one makes other studies.
    settings
        Name of the JSON file beside it with every knob.
    anatomies
        Name of each label map -> SHA-256 of its labels; studies take them in turn.
    groups
        In the order in which they are run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    generator_version: int
    settings: str
    anatomies: dict[str, str]
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Knobs:
    """Every knob of a study and of its scanner."""

    synthesis: SynthesisSettings
    planning: PlanningScanSettings

    def to_json(self) -> str:
        """Write all of them down."""
        tables = {**asdict(self.synthesis), "planning": asdict(self.planning)}
        return json.dumps(tables, indent=1, sort_keys=True) + "\n"


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one case is made from."""

    seed: int
    anatomy: str
    knobs: Knobs


def open_synthetic(path: Path, anatomy_folder: Path | None) -> Cohort:
    """Read a cohort's file; its studies are made when they are asked for.

    Parameters
    ----------
    path
        The TOML file.
    anatomy_folder
        Where its label maps are; the public template without one.

    Raises
    ------
    InvalidInput
        The file cannot be read, was frozen with another generator, or the label maps are not its own.
    """
    content = _read(path)
    if content.generator_version != GENERATOR_VERSION:
        raise InvalidInput(
            f"{path} was frozen with generator {content.generator_version}, this is {GENERATOR_VERSION}: "
            "its studies cannot be made again"
        )
    base = _read_knobs(path.parent / content.settings)
    anatomies = {a.name: a for a in open_anatomies(anatomy_folder, tuple(content.anatomies))}
    _check_anatomies(content, anatomies)
    plans = _plan(content, base)
    return Cohort(
        name=content.name,
        digest=_digest(content, base),
        case_names=tuple(plans),
        make=partial(_make, plans, anatomies),
        groups=tuple(CaseGroup(group.name, _case_names(group)) for group in content.groups),
    )


def label_digest(anatomy: Anatomy) -> str:
    """SHA-256 (hexadecimal) of a label map's shape and voxels."""
    return hashlib.sha256(repr(anatomy.labels_kji.shape).encode() + anatomy.labels_kji.tobytes()).hexdigest()


def _read(path: Path) -> CohortFile:
    try:
        return CohortFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InvalidInput(f"no cohort in {path}: {error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise InvalidInput(f"{path} is not a cohort of synthetic studies: {error}") from error


def _read_knobs(path: Path) -> Knobs:
    try:
        tables = json.loads(path.read_text(encoding="utf-8"))
        return _override(Knobs(SynthesisSettings(), PlanningScanSettings()), tables)
    except (OSError, json.JSONDecodeError) as error:
        raise InvalidInput(f"no settings of a cohort in {path}: {error}") from error


def _override(knobs: Knobs, tables: Mapping[str, Mapping[str, Any]]) -> Knobs:
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


def _check_anatomies(content: CohortFile, anatomies: Mapping[str, Anatomy]) -> None:
    for name, expected in content.anatomies.items():
        found = label_digest(anatomies[name])
        if found != expected:
            raise InvalidInput(f"label map {name} has SHA-256 {found}, expected {expected}")


def _plan(content: CohortFile, base: Knobs) -> dict[str, _Plan]:
    names = list(content.anatomies)
    return {
        name: _Plan(group.first_seed + n, names[n % len(names)], _override(base, group.overrides))
        for group in content.groups
        for n, name in enumerate(_case_names(group))
    }


def _case_names(group: Group) -> tuple[str, ...]:
    return tuple(f"{group.name}-{n:03d}" for n in range(group.studies))


def _digest(content: CohortFile, base: Knobs) -> str:
    """Cover everything the voxels follow from; names and descriptions are for people."""
    essence = content.model_dump(mode="json", include={"generator_version", "anatomies", "groups"})
    return hashlib.sha256(json.dumps([essence, base.to_json()], sort_keys=True).encode()).hexdigest()


def _make(plans: Mapping[str, _Plan], anatomies: Mapping[str, Anatomy], name: str) -> Case:
    plan = plans[name]
    scene = build_scene(anatomies[plan.anatomy], plan.seed, plan.knobs.synthesis)
    scan = scan_pair(scene, plan.knobs.planning, plan.seed)
    return as_case(name, plan.anatomy, scan)


def as_case(name: str, anatomy: str, scan: PlanningScan) -> Case:
    """Give two scans the form in which the worker takes volumes."""
    return Case(
        name=name,
        anatomy=anatomy,
        t1_post=_volume(scan.t1_post_kji, scan.t1_post_grid),
        t1=_volume(scan.t1_kji, scan.t1_grid),
        reference_kji=scan.labels_kji,
        structures_kji=scan.structures_kji,
    )


def _volume(voxels_kji: Floats, grid: Grid) -> Volume:
    slices = [SliceReference(ENHANCED_MR, FRAME_OF_REFERENCE, k + 1) for k in range(grid.shape_kji[0])]
    return Volume(np.rint(voxels_kji), grid, FRAME_OF_REFERENCE, tuple(slices))  # scanners store integers
