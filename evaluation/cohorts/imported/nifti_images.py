"""NIfTI file -> NiftiImage: axes and affine turned from RAS (x, y, z) into LPS (k, j, i), exactly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInput
from core.geometry import Grid

SHEAR_TOLERANCE = 1e-3
"""Greatest cosine between two axes: at 256 mm a quarter of a millimetre, the analysis' quarter voxel."""

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class NiftiImage:
    """A file's voxels (slices, rows, columns) on our grid, and where they came from.

    The file's third axis counts the slices, from the other end where its affine is left-handed: k runs
    along row direction x column direction, as in a volume read from DICOM.
    """

    path: Path
    voxels_kji: NDArray[np.float32]
    grid: Grid


def read_image(path: Path, study: str) -> NiftiImage:
    """Read a file's voxels and lay them on a grid; no voxel is resampled.

    Raises
    ------
    InvalidInput
        Not a NIfTI image, cut off, without orientation, sheared, not of three axes, or not finite.
    """
    image = _open(path, study)
    shape = _three_axes(image.shape, path, study)
    voxels_xyz = np.asarray(image.dataobj, dtype=np.float32).reshape(shape)
    _check_finite(voxels_xyz, path, study)
    affine = RAS_TO_LPS @ np.asarray(image.affine, dtype=np.float64)[:, [2, 1, 0, 3]]
    _check_affine(affine, path, study)
    return _right_handed(path, voxels_xyz.transpose(2, 1, 0), affine)


def _open(path: Path, study: str) -> Any:
    import nibabel  # comes with the extra "evaluation" only

    try:
        image: Any = nibabel.load(path)
        np.asarray(image.dataobj)  # a file that was cut off shows only here
    except Exception as error:
        raise InvalidInput(
            f"study {study}: {path.name} cannot be read: {error}; expected a NIfTI image"
        ) from error
    if not (image.header["sform_code"] or image.header["qform_code"]):
        raise InvalidInput(
            f"study {study}: {path.name} does not say where it lies "
            "(sform_code and qform_code are 0), expected one of them above 0"
        )
    return image


def _three_axes(shape: tuple[int, ...], path: Path, study: str) -> tuple[int, ...]:
    """Drop trailing axes of length 1, as some programs write them."""
    if len(shape) < 3 or any(n != 1 for n in shape[3:]):
        raise InvalidInput(f"study {study}: {path.name} has shape {shape}, expected three axes")
    return shape[:3]


def _check_finite(voxels: NDArray[np.float32], path: Path, study: str) -> None:
    broken = voxels.size - int(np.count_nonzero(np.isfinite(voxels)))
    if broken:
        raise InvalidInput(
            f"study {study}: {path.name} holds {broken} voxels that are no finite number, expected none"
        )


def _check_affine(affine: NDArray[np.float64], path: Path, study: str) -> None:
    lengths_mm = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or lengths_mm.min() <= 0:
        raise InvalidInput(
            f"study {study}: {path.name} has voxels of {lengths_mm.tolist()} mm, expected positive sizes"
        )
    directions = affine[:3, :3] / lengths_mm
    shear = np.abs(directions.T @ directions - np.eye(3)).max()
    if shear > SHEAR_TOLERANCE:
        raise InvalidInput(
            f"study {study}: {path.name} has axes with a cosine of {shear:.4f} between them (a sheared "
            f"affine), expected right angles within {SHEAR_TOLERANCE}"
        )


def _right_handed(path: Path, voxels_kji: NDArray[np.float32], affine: NDArray[np.float64]) -> NiftiImage:
    """Count slices from the other end where k runs against row x column direction."""
    k, j, i = affine[:3, :3].T
    if np.cross(i, j) @ k < 0:
        voxels_kji = voxels_kji[::-1]
        affine = affine.copy()
        affine[:3, 3] += (voxels_kji.shape[0] - 1) * k
        affine[:3, 0] = -k
    slices, rows, columns = voxels_kji.shape
    return NiftiImage(path, np.ascontiguousarray(voxels_kji), Grid((slices, rows, columns), affine))
