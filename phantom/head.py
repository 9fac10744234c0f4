"""Head: what is scanned. Tissue signals on an axis-aligned lattice, free of any scanner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.errors import InvalidInput
from core.geometry import Grid
from phantom.fields import Floats, Mask, Points, signed_distance

GREY_SIGNAL = 0.66
"""Grey matter on T1 relative to white matter (spoiled gradient echo at 3 T, Bloch steady state)."""

CSF_SIGNAL = 0.20
"""Cerebrospinal fluid on T1 relative to white matter."""

WHITE_ENHANCEMENT = 0.04
"""What 0.1 mmol/kg gadolinium adds to white matter, relative to white matter before contrast."""

GREY_ENHANCEMENT = 0.09
"""The same for cortex, which holds more blood."""

MNI_BRAIN_MIN_RAS_MM = (-73.0, -108.0, -72.0)
MNI_BRAIN_MAX_RAS_MM = (73.0, 74.0, 82.0)
"""Box around the MNI152 brain: another head's landmarks are found by fitting its box to this one."""

WORKING_SPACING_MM = 1.0
"""Lattice a real scan is brought to before lesions are laid into it."""


@dataclass(frozen=True, eq=False)
class Head:
    """A head before any contrast vessel, lesion or scanner was added; signals relative to white matter.

    Parameters
    ----------
    grid
        Axes (superior, posterior, left), about 1 mm.
    t1, t1_post
        float32 on ``grid``: signal without contrast, and with the faint enhancement of normal tissue.
    grey, white
        Fractions of grey and white matter, 0..1.
    brain_mask
        The brain with the CSF within and around it.
    brain_distance_mm
        Distance to the brain's outer (closed) surface: negative inside.
    mni_ras_to_lps_mm
        4 x 4: MNI152 coordinates (x right, y anterior, z superior) to this head's LPS.
    """

    grid: Grid
    t1: Floats
    t1_post: Floats
    grey: Floats
    white: Floats
    brain_mask: Mask
    brain_distance_mm: Floats
    mni_ras_to_lps_mm: NDArray[np.float64]

    def mni_to_index_kji(self, points_ras_mm: Points) -> Points:
        """Map MNI152 millimetres (n, 3) to fractional indices (n, 3) of ``grid``."""
        matrix = self.mni_ras_to_lps_mm
        return self.grid.to_index_kji(np.asarray(points_ras_mm) @ matrix[:3, :3].T + matrix[:3, 3])


def head_from_volume(voxels: Floats, grid: Grid, brain_mask: Mask) -> Head:
    """Make a head of a real T1 scan, so that lesions can be laid into real anatomy.

    Parameters
    ----------
    voxels
        (k, j, i), any unit: a T1-weighted scan without contrast.
    grid
        Where they lie.
    brain_mask
        Brain on the same grid.

    Raises
    ------
    InvalidInput
        Shapes differ, or the mask is empty.
    """
    _check_volume(voxels, grid, brain_mask)
    target = _axis_aligned_grid(grid)
    signal = resample_onto(np.asarray(voxels, dtype=np.float32), grid, target)
    mask = resample_onto(brain_mask.astype(np.float32), grid, target) >= 0.5  # half of the voxel is brain
    t1 = _relative_to_white_matter(signal, mask)
    white = np.where(mask, np.clip((t1 - GREY_SIGNAL) / (1 - GREY_SIGNAL), 0, 1), 0).astype(np.float32)
    tissue = np.where(mask, np.clip((t1 - CSF_SIGNAL) / (GREY_SIGNAL - CSF_SIGNAL), 0, 1), 0)
    grey = (tissue - white).clip(0, 1).astype(np.float32)
    return Head(
        grid=target,
        t1=t1,
        t1_post=enhance_tissue(t1, grey, white),
        grey=grey,
        white=white,
        brain_mask=mask,
        brain_distance_mm=signed_distance(mask, target.spacing_kji_mm),
        mni_ras_to_lps_mm=_fit_mni_box(mask, target),
    )


def enhance_tissue(t1: Floats, grey: Floats, white: Floats) -> Floats:
    """Return T1 signal plus the faint enhancement of normal grey and white matter."""
    return np.asarray(t1 + GREY_ENHANCEMENT * grey + WHITE_ENHANCEMENT * white, dtype=np.float32)


def resample_onto(volume: Floats, source: Grid, target: Grid) -> Floats:
    """Interpolate a volume linearly from one grid onto another; 0 outside."""
    step = np.linalg.inv(source.affine_kji_to_lps_mm) @ target.affine_kji_to_lps_mm
    result = ndimage.affine_transform(
        volume, step[:3, :3], step[:3, 3], output_shape=target.shape_kji, order=1, prefilter=False
    )
    return np.asarray(result, dtype=np.float32)


def _check_volume(voxels: Floats, grid: Grid, brain_mask: Mask) -> None:
    if voxels.shape != grid.shape_kji or brain_mask.shape != grid.shape_kji:
        raise InvalidInput(
            f"voxels {voxels.shape} and brain mask {brain_mask.shape}, expected both {grid.shape_kji}"
        )
    if not brain_mask.any():
        raise InvalidInput("the brain mask is empty, expected about 1.4 L of brain")


def _axis_aligned_grid(grid: Grid) -> Grid:
    last = np.array(grid.shape_kji) - 1
    corners = grid.to_lps_mm([[k, j, i] for k in (0, last[0]) for j in (0, last[1]) for i in (0, last[2])])
    lowest, highest = corners.min(axis=0), corners.max(axis=0)
    shape_lps = np.ceil((highest - lowest) / WORKING_SPACING_MM).astype(int) + 1
    affine = np.eye(4)
    affine[:3, :3] = WORKING_SPACING_MM * np.eye(3)[:, ::-1]
    affine[:3, 3] = lowest
    return Grid((int(shape_lps[2]), int(shape_lps[1]), int(shape_lps[0])), affine)


def _relative_to_white_matter(signal: Floats, mask: Mask) -> Floats:
    """Scale so that white matter, the bright third of the brain on T1, has signal 1."""
    level = float(np.percentile(signal[mask], 80))  # within white matter whatever the grey-white ratio
    if level <= 0:
        raise InvalidInput(f"signal in the brain is {level}, expected a positive T1 signal")
    return np.asarray(np.clip(signal, 0, None) / level, dtype=np.float32)


def _fit_mni_box(mask: Mask, grid: Grid) -> NDArray[np.float64]:
    index = np.argwhere(mask)
    ends = grid.to_lps_mm(np.stack([index.min(axis=0), index.max(axis=0)]))
    lowest, highest = ends.min(axis=0), ends.max(axis=0)
    mni_lps = np.array([MNI_BRAIN_MIN_RAS_MM, MNI_BRAIN_MAX_RAS_MM]) * [-1, -1, 1]
    mni_lowest, mni_highest = mni_lps.min(axis=0), mni_lps.max(axis=0)
    scale = (highest - lowest) / (mni_highest - mni_lowest)
    matrix = np.diag([-scale[0], -scale[1], scale[2], 1.0])
    matrix[:3, 3] = lowest - scale * mni_lowest
    return matrix
