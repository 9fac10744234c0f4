"""NIfTI studies on disk, with voxels set at known places."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

SHAPE_XYZ = (20, 24, 16)

AXIAL = np.array([[1.0, 0, 0, -10], [0, 1, 0, -12], [0, 0, 2, -8], [0, 0, 0, 1]])
"""RAS millimetres of the voxel (x, y, z), as NIfTI has it."""

RADIOLOGICAL = np.diag([-1.0, 1, 1, 1]) @ AXIAL
SAGITTAL = np.array([[0, 0, 1.5, -12], [-1.0, 0, 0, 9], [0, -1.0, 0, 14], [0, 0, 0, 1]])
FLIPPED_SLICES = AXIAL @ np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 15], [0, 0, 0, 1]])


def oblique() -> NDArray[np.float64]:
    """AXIAL, turned by 20 degrees about x and by -15 about z."""
    about_x, about_z = np.eye(4), np.eye(4)
    c, s = np.cos(np.deg2rad(20)), np.sin(np.deg2rad(20))
    about_x[1:3, 1:3] = [[c, -s], [s, c]]
    c, s = np.cos(np.deg2rad(-15)), np.sin(np.deg2rad(-15))
    about_z[:2, :2] = [[c, -s], [s, c]]
    return np.asarray(about_z @ about_x @ AXIAL)


def lps_of(affine: NDArray[np.float64], index_xyz: Sequence[int]) -> NDArray[np.float64]:
    """LPS millimetres of a voxel, from the definition of NIfTI alone."""
    x, y, z = (affine @ [*index_xyz, 1.0])[:3]
    return np.array([-x, -y, z])


def write(path: Path, voxels_xyz: NDArray[np.generic], affine: NDArray[np.float64] = AXIAL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels_xyz, affine), path)
    return path


def make_scan(seed: int) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(1, 1000, SHAPE_XYZ).astype(np.int16)


def make_labels(value: int = 1, index_xyz: Sequence[int] = (13, 5, 11)) -> NDArray[np.uint8]:
    labels = np.zeros(SHAPE_XYZ, dtype=np.uint8)
    labels[tuple(index_xyz)] = value
    return labels


def write_study(
    folder: Path, affine: NDArray[np.float64] = AXIAL, *, labels: NDArray[np.generic] | None = None
) -> Path:
    """A study in BraTS-METS's naming; ``labels`` are those of the -seg file."""
    for role, seed in (("t1n", 1), ("t1c", 2)):
        write(folder / f"{folder.name}-{role}.nii.gz", make_scan(seed), affine)
    write(folder / f"{folder.name}-seg.nii.gz", make_labels(3) if labels is None else labels, affine)
    return folder
