"""Resampling between grids, linear, through one affine in index space."""

from __future__ import annotations

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from core.geometry import Grid

IDENTITY = np.eye(4)
IDENTITY.setflags(write=False)


def resample_linear(
    voxels_kji: NDArray[np.float32],
    source: Grid,
    target: Grid,
    *,
    target_to_source_lps: NDArray[np.float64] = IDENTITY,
    outside: float = 0.0,
) -> NDArray[np.float32]:
    """Sample voxels of one grid at the voxel centres of another.

    Parameters
    ----------
    voxels_kji
        Shape of ``source``.
    source, target
        Where the voxels are, and where they are wanted.
    target_to_source_lps
        4 x 4, LPS mm; maps a point of the target image to the same anatomy in the source image.
    outside
        Value given to target voxels the source does not cover.

    Returns
    -------
    NDArray[np.float32]
        Shape of ``target``.
    """
    index_map = (
        np.linalg.inv(source.affine_kji_to_lps_mm) @ target_to_source_lps @ target.affine_kji_to_lps_mm
    )
    # SimpleITK sees bare index lattices (i, j, k): no origin, spacing or direction to disagree about.
    transform = SimpleITK.AffineTransform(3)
    transform.SetMatrix(index_map[:3, :3][::-1, ::-1].ravel().tolist())
    transform.SetTranslation(index_map[:3, 3][::-1].tolist())
    slices, rows, columns = target.shape_kji
    filter_ = SimpleITK.ResampleImageFilter()
    filter_.SetSize((columns, rows, slices))
    filter_.SetTransform(transform)
    filter_.SetInterpolator(SimpleITK.sitkLinear)
    filter_.SetDefaultPixelValue(outside)
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(voxels_kji, dtype=np.float32))
    return np.asarray(SimpleITK.GetArrayFromImage(filter_.Execute(image)), dtype=np.float32)
