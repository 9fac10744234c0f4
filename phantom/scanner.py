"""The scanner: where the slices lie, what the coil, the gradients and the noise make of the signal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.geometry import Grid
from phantom.fields import Floats, Points

Matrix = NDArray[np.float64]

SUB_SLICE_MM = 1.2
"""Thicker slices are averaged from sub-slices no thicker than this: a slice profile, not a point sample."""

BIAS_KNOTS = 4
"""Cosines per axis of the bias field: it varies over half a head, as a coil's sensitivity does."""

TILT_AXIS_LPS = (1.0, 0.35, 0.2)
"""Oblique volumes are turned about this axis: mostly left-right as planned along AC-PC, doubly oblique."""


class Orientation(StrEnum):
    """The plane of the slices."""

    AXIAL = "axial"
    SAGITTAL = "sagittal"
    CORONAL = "coronal"


DIRECTIONS_KJI_LPS: MappingProxyType[Orientation, tuple[tuple[int, int, int], ...]] = MappingProxyType(
    {
        Orientation.AXIAL: ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
        Orientation.SAGITTAL: ((-1, 0, 0), (0, 0, -1), (0, 1, 0)),
        Orientation.CORONAL: ((0, 1, 0), (0, 0, -1), (1, 0, 0)),
    }
)
"""LPS directions of increasing slice, row and column index; slice = column direction x row direction."""


@dataclass(frozen=True, slots=True)
class ScannerQuality:
    """What the scanner adds to the signal.

    Parameters
    ----------
    noise
        Standard deviation of the noise in each channel, relative to white matter: 0.03 is an SNR of 33.
    bias
        Standard deviation of the logarithm of the bias field.
    blur_mm
        Standard deviation of the point spread function.
    gain
        Stored value of white matter.
    """

    noise: float
    bias: float
    blur_mm: float
    gain: float


def rigid_matrix(
    rotation_deg: float, translation_mm: float, centre_lps_mm: Points, rng: np.random.Generator
) -> Matrix:
    """Return a 4 x 4 LPS matrix: a turn about a random axis through a centre, then a random shift.

    Parameters
    ----------
    rotation_deg, translation_mm
        Size of the turn and of the shift of the centre.
    centre_lps_mm
        Centre of the turn.
    rng
        Gives both directions.
    """
    rotation = rotation_about(rng.standard_normal(3), rotation_deg)
    shift = rng.standard_normal(3)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = centre_lps_mm - rotation @ centre_lps_mm + translation_mm * shift / np.linalg.norm(shift)
    return matrix


def rotation_about(axis: Points, angle_deg: float) -> Matrix:
    """Return the 3 x 3 rotation about an axis (Rodrigues)."""
    x, y, z = np.asarray(axis, dtype=np.float64) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(angle_deg)
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def plan_grid(
    extent_lps_mm: Points,
    centre_lps_mm: Points,
    spacing_kji_mm: tuple[float, float, float],
    orientation: Orientation,
    oblique_deg: float,
) -> Grid:
    """Lay slices over a box: square in plane, centred, tilted if asked.

    Parameters
    ----------
    extent_lps_mm
        (3,) edges of the box along L, P and S.
    centre_lps_mm
        (3,) its centre.
    spacing_kji_mm
        Between slices, rows and columns.
    orientation, oblique_deg
        Plane of the slices and their tilt about ``TILT_AXIS_LPS``.
    """
    upright = np.array(DIRECTIONS_KJI_LPS[orientation], dtype=np.float64).T
    extent_kji = np.abs(upright).T @ extent_lps_mm
    extent_kji[1:] = extent_kji[1:].max()
    spacing = np.array(spacing_kji_mm)
    shape = np.ceil(extent_kji / spacing).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = rotation_about(np.array(TILT_AXIS_LPS), oblique_deg) @ upright * spacing
    affine[:3, 3] = centre_lps_mm - affine[:3, :3] @ ((shape - 1) / 2)
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def sample_slices(volume: Floats, source: Grid, target: Grid, target_to_source_lps: Matrix) -> Floats:
    """Average a volume over the thickness of each slice of another grid; 0 outside.

    Parameters
    ----------
    volume
        On ``source``.
    source, target
        The grids.
    target_to_source_lps
        4 x 4 between their worlds.
    """
    step = np.linalg.inv(source.affine_kji_to_lps_mm) @ target_to_source_lps @ target.affine_kji_to_lps_mm
    count = int(np.ceil(target.spacing_kji_mm[0] / SUB_SLICE_MM))
    total = np.zeros(target.shape_kji, dtype=np.float32)
    for shift_k in (np.arange(count) + 0.5) / count - 0.5:
        offset = step[:3, :3] @ np.array([shift_k, 0, 0]) + step[:3, 3]
        total += ndimage.affine_transform(
            volume, step[:3, :3], offset, output_shape=target.shape_kji, order=1, prefilter=False
        )
    return np.asarray(total / np.float32(count), dtype=np.float32)


def acquire(signal: Floats, grid: Grid, quality: ScannerQuality, rng: np.random.Generator) -> Floats:
    """Blur, shade, add Rician noise and scale: ideal signal to stored values (float32, not negative)."""
    sigma = [quality.blur_mm / spacing for spacing in grid.spacing_kji_mm]
    blurred = ndimage.gaussian_filter(signal, sigma, truncate=3.0)
    shaded = blurred * _bias_field(grid.shape_kji, quality.bias, rng)
    shaded += quality.noise * rng.standard_normal(shaded.shape, dtype=np.float32)
    other_channel = quality.noise * rng.standard_normal(shaded.shape, dtype=np.float32)
    return np.asarray(np.float32(quality.gain) * np.hypot(shaded, other_channel), dtype=np.float32)


def _bias_field(shape: tuple[int, int, int], spread: float, rng: np.random.Generator) -> Floats:
    """Return exp of a sum of low cosines, separable along the axes."""
    waves = [
        np.cos(np.pi * np.outer((np.arange(n) + 0.5) / n, np.arange(BIAS_KNOTS))).astype(np.float32)
        for n in shape
    ]
    decay = 1 / (1 + np.arange(BIAS_KNOTS)) ** 2
    weights = rng.standard_normal((BIAS_KNOTS,) * 3) * np.einsum("a,b,c->abc", decay, decay, decay)
    weights[0, 0, 0] = 0  # a constant is the gain, not bias
    field = np.einsum("abc,ka,jb,ic->kji", weights.astype(np.float32), *waves, optimize=True)
    return np.asarray(np.exp(spread / max(float(field.std()), 1e-6) * field), dtype=np.float32)
