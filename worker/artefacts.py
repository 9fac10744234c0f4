"""What one stage leaves for the next: whole .npz files, or none."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from core.errors import Transient
from core.geometry import Grid
from core.lesion import RegistrationQuality
from core.study import AnalysisMode, QualityFlag
from worker.boxes import Box, bounding_box, crop, paste
from worker.ensemble import LesionProbability
from worker.preprocessing import PreparedVolumes
from worker.volumes import SliceReference

FACTS = "facts"
"""Entry that holds everything but arrays, as JSON."""

UNFINISHED_SUFFIX = ".part"


def save_prepared(prepared: PreparedVolumes, path: Path) -> None:
    """Write prepared volumes; the file appears whole or not at all."""
    facts = {
        "grid": _grid_facts(prepared.grid),
        "source_grid": _grid_facts(prepared.source_grid),
        "source_slices": [asdict(reference) for reference in prepared.source_slices],
        "registration": None if prepared.registration is None else asdict(prepared.registration),
        "brain_volume_mm3": prepared.brain_volume_mm3,
        "flags": list(prepared.flags),
    }
    volumes = {"t1_post": prepared.t1_post_kji, "brain_mask": prepared.brain_mask_kji}
    if prepared.subtraction_kji is not None:
        volumes["subtraction"] = prepared.subtraction_kji
    _save(path, facts, volumes, prepared.brain_mask_kji)


def load_prepared(path: Path) -> PreparedVolumes:
    """Read prepared volumes.

    Raises
    ------
    Transient
        The file cannot be read whole.
    """
    facts, volumes = _load(path)
    registration = facts["registration"]
    return PreparedVolumes(
        grid=_to_grid(facts["grid"]),
        t1_post_kji=volumes["t1_post"],
        subtraction_kji=volumes.get("subtraction"),
        brain_mask_kji=volumes["brain_mask"],
        source_grid=_to_grid(facts["source_grid"]),
        source_slices=tuple(SliceReference(**reference) for reference in facts["source_slices"]),
        registration=None if registration is None else RegistrationQuality(**registration),
        brain_volume_mm3=facts["brain_volume_mm3"],
        flags=tuple(QualityFlag(flag) for flag in facts["flags"]),
    )


def save_probability(probability: LesionProbability, path: Path) -> None:
    """Write the ensemble's output; the file appears whole or not at all."""
    facts = {
        "grid": _grid_facts(probability.grid),
        "member_names": list(probability.member_names),
        "mode": probability.mode,
    }
    volumes: dict[str, NDArray[Any]] = {
        "mean": probability.mean_kji,
        "brain_mask": probability.brain_mask_kji,
    }
    volumes |= {f"member_{n}": member for n, member in enumerate(probability.members_kji)}
    _save(path, facts, volumes, probability.brain_mask_kji)


def load_probability(path: Path) -> LesionProbability:
    """Read the ensemble's output.

    Raises
    ------
    Transient
        The file cannot be read whole.
    """
    facts, volumes = _load(path)
    names = tuple(facts["member_names"])
    return LesionProbability(
        grid=_to_grid(facts["grid"]),
        mean_kji=volumes["mean"],
        member_names=names,
        members_kji=tuple(volumes[f"member_{n}"] for n in range(len(names))),
        brain_mask_kji=volumes["brain_mask"],
        mode=AnalysisMode(facts["mode"]),
    )


def _save(
    path: Path, facts: Mapping[str, Any], volumes: Mapping[str, NDArray[Any]], mask_kji: NDArray[np.bool_]
) -> None:
    """Write the part of each volume inside the mask's box: all of them are zero outside the mask."""
    box = bounding_box(mask_kji)
    crops = {name: crop(volume, box) for name, volume in volumes.items()}
    facts = {**facts, "shape": mask_kji.shape, "box": asdict(box)}
    unfinished = path.with_name(path.name + UNFINISHED_SUFFIX)
    try:
        with unfinished.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **{FACTS: np.array(json.dumps(facts)), **crops})
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise Transient(f"cannot write {path.name}: {error.strerror}") from error


def _load(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise Transient(f"cannot read {path.name}: {error}") from error
    facts = json.loads(str(arrays.pop(FACTS)))
    box = Box(tuple(facts["box"]["origin"]), tuple(facts["box"]["extent"]))
    return facts, {name: paste(array, box, tuple(facts["shape"])) for name, array in arrays.items()}


def _grid_facts(grid: Grid) -> dict[str, Any]:
    return {
        "shape_kji": grid.shape_kji,
        "affine_kji_to_lps_mm": grid.affine_kji_to_lps_mm.tolist(),
    }


def _to_grid(facts: Mapping[str, Any]) -> Grid:
    slices, rows, columns = facts["shape_kji"]
    return Grid((slices, rows, columns), np.array(facts["affine_kji_to_lps_mm"]))
