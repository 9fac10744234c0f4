"""Cases kept on disk: a synthetic study takes longer to make than to read."""

from __future__ import annotations

import os
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.geometry import Grid
from evaluation.cohorts.case import Case, Cohort
from worker.volumes import SliceReference, Volume

Arrays = dict[str, NDArray[np.generic]]

UNDER_WAY = ".partial"
"""Suffix of a file that is not whole yet."""


def keep_cases(cohort: Cohort, folder: Path) -> Cohort:
    """Return the cohort with its cases read from a folder, or made and kept there.

    Parameters
    ----------
    cohort
        Of synthetic studies: their voxels are whole numbers.
    folder
        Made if missing; one cohort's cases never meet another's there.
    """
    return replace(cohort, make=partial(_read_or_make, cohort, folder / cohort.digest[:16]))


def _read_or_make(cohort: Cohort, folder: Path, name: str) -> Case:
    path = folder / f"{name}.npz"
    try:
        return _read(path)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        case = cohort.make(name)  # missing or damaged: made anew
    folder.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_suffix(f".{os.getpid()}{UNDER_WAY}")
    with partial_path.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **_arrays(case))
    partial_path.replace(path)
    return case


def _arrays(case: Case) -> Arrays:
    arrays: Arrays = {
        "name": np.array(case.name),
        "anatomy": np.array(case.anatomy),
        "reference": case.reference_kji,
        **_volume_arrays("t1_post", case.t1_post),
    }
    if case.t1 is not None:
        arrays |= _volume_arrays("t1", case.t1)
    if case.structures_kji is not None:
        arrays["structures"] = case.structures_kji
    return arrays


def _volume_arrays(prefix: str, volume: Volume) -> Arrays:
    reference = volume.slices[0]
    return {
        f"{prefix}_voxels": volume.voxels_kji.astype(np.int16),
        f"{prefix}_affine": volume.grid.affine_kji_to_lps_mm,
        f"{prefix}_uids": np.array(
            [volume.frame_of_reference_uid, reference.sop_class_uid, reference.sop_instance_uid]
        ),
    }


def _read(path: Path) -> Case:
    with path.open("rb") as stream, np.load(stream) as stored:
        arrays = {key: stored[key] for key in stored.files}
    return Case(
        name=str(arrays["name"]),
        anatomy=str(arrays["anatomy"]),
        t1_post=_volume("t1_post", arrays),
        t1=_volume("t1", arrays) if "t1_voxels" in arrays else None,
        reference_kji=arrays["reference"].astype(np.uint16),
        structures_kji=arrays.get("structures"),
    )


def _volume(prefix: str, arrays: Arrays) -> Volume:
    voxels = arrays[f"{prefix}_voxels"].astype(np.float32)
    frame_of_reference, sop_class, sop_instance = (str(uid) for uid in arrays[f"{prefix}_uids"])
    slices = tuple(SliceReference(sop_class, sop_instance, k + 1) for k in range(len(voxels)))
    grid = Grid(
        (voxels.shape[0], voxels.shape[1], voxels.shape[2]), arrays[f"{prefix}_affine"].astype(np.float64)
    )
    return Volume(voxels, grid, frame_of_reference, slices)
