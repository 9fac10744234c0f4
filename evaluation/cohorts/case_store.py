"""Cases kept on disk: a synthetic study takes longer to make than to read."""

from __future__ import annotations

import fcntl
import hashlib
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from core.errors import Defect, InvalidInput
from core.geometry import Grid
from evaluation.cohorts.case import Case, Cohort
from worker.volumes import SliceReference, Volume

Floats = NDArray[np.float32]

Arrays = dict[str, NDArray[np.generic]]

UNDER_WAY = ".partial"
"""Suffix of a file that is not whole yet; its writer holds a lock on it."""

STORED = np.iinfo(np.int16)
"""Voxels are stored as a scanner stores them."""

VOXEL_ARRAYS = ("t1_post_voxels", "t1_voxels", "reference", "structures")
"""What ``digest_voxels`` covers."""


def keep_cases(cohort: Cohort, folder: Path) -> Cohort:
    """Return the cohort with its cases read from a folder, or made and kept there.

    Parameters
    ----------
    cohort
        Of synthetic studies: their voxels are whole numbers. Its digest, which covers the version of the
        generator, names the folder of its cases.
    folder
        Made if missing; what killed processes left of a file there is removed.
    """
    own = folder / cohort.digest[:16]
    _sweep(own)
    return replace(cohort, make=partial(_read_or_make, cohort, own))


def digest_voxels(case: Case) -> str:
    """Return the SHA-256 (hexadecimal) of shapes and values of what is stored of a case.

    Raises
    ------
    Defect
        Its voxels are no whole numbers of 16 bits.
    """
    arrays = _arrays(case)
    digest = hashlib.sha256()
    for name in VOXEL_ARRAYS:
        if name in arrays:
            array = arrays[name]
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode() + array.tobytes())
    return digest.hexdigest()


def _read_or_make(cohort: Cohort, folder: Path, name: str) -> Case:
    path = folder / f"{name}.npz"
    try:
        return _read(path)
    except (OSError, KeyError, ValueError, InvalidInput, zipfile.BadZipFile):
        case = cohort.make(name)  # missing or damaged: made anew
    arrays = _arrays(case)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(path.with_suffix(f".{os.getpid()}{UNDER_WAY}")) as stream:
        np.savez(stream, allow_pickle=False, **arrays)
        stream.flush()
        Path(stream.name).replace(path)
    return case


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open a file of our own for writing, under a lock that ends with the process."""
    while True:
        with path.open("wb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            if path.exists():  # else swept before it was locked
                yield stream
                return


def _sweep(folder: Path) -> None:
    """Remove unfinished files that nobody writes any more."""
    for path in folder.glob(f"*{UNDER_WAY}"):
        try:
            with path.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        except (BlockingIOError, FileNotFoundError):
            continue


def _arrays(case: Case) -> Arrays:
    arrays: Arrays = {
        "name": np.array(case.name),
        "anatomy": np.array(case.anatomy),
        "reference": case.reference_kji,
        "lesions_outside": np.array(case.lesions_outside),
        **_volume_arrays("t1_post", case.t1_post, case.name),
    }
    if case.t1 is not None:
        arrays |= _volume_arrays("t1", case.t1, case.name)
    if case.lesion_volumes_mm3 is not None:
        volumes = sorted(case.lesion_volumes_mm3.items())
        arrays["lesion_volumes_mm3"] = np.array([volume for _, volume in volumes], dtype=np.float64)
    if case.structures_kji is not None:
        arrays["structures"] = case.structures_kji
    return arrays


def _volume_arrays(prefix: str, volume: Volume, case_name: str) -> Arrays:
    reference = volume.slices[0]
    return {
        f"{prefix}_voxels": _as_stored(volume.voxels_kji, f"{prefix} of case {case_name}"),
        f"{prefix}_affine": volume.grid.affine_kji_to_lps_mm,
        f"{prefix}_uids": np.array(
            [volume.frame_of_reference_uid, reference.sop_class_uid, reference.sop_instance_uid]
        ),
    }


def _as_stored(voxels_kji: Floats, what: str) -> NDArray[np.int16]:
    low, high = float(voxels_kji.min()), float(voxels_kji.max())
    if not STORED.min <= low <= high <= STORED.max:
        raise Defect(f"{what} holds {low:g} to {high:g}, expected {STORED.min} to {STORED.max} (int16)")
    stored = voxels_kji.astype("<i2")
    if not np.array_equal(stored, voxels_kji):
        raise Defect(f"{what} holds fractions, expected whole numbers as a scanner stores them")
    return np.asarray(stored)


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
        lesion_volumes_mm3=_volumes_by_number(arrays.get("lesion_volumes_mm3")),
        lesions_outside=int(arrays["lesions_outside"]),
    )


def _volumes_by_number(volumes_mm3: NDArray[np.float64] | None) -> dict[int, float] | None:
    return None if volumes_mm3 is None else {n + 1: float(volume) for n, volume in enumerate(volumes_mm3)}


def _volume(prefix: str, arrays: Arrays) -> Volume:
    voxels = arrays[f"{prefix}_voxels"].astype(np.float32)
    frame_of_reference, sop_class, sop_instance = (str(uid) for uid in arrays[f"{prefix}_uids"])
    slices = tuple(SliceReference(sop_class, sop_instance, k + 1) for k in range(len(voxels)))
    grid = Grid(
        (voxels.shape[0], voxels.shape[1], voxels.shape[2]), arrays[f"{prefix}_affine"].astype(np.float64)
    )
    return Volume(voxels, grid, frame_of_reference, slices)
