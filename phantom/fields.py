"""Smooth random fields, signed distances and sub-voxel painting: the brushes of the phantom."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]
Points = NDArray[np.float64]
Mask = NDArray[np.bool_]
Shape = tuple[int, int, int]

SUBDIVISIONS = 3
"""Sub-voxels along each edge of a voxel: at 1 mm a tube of 0.4 mm radius keeps its cross-section."""


def smooth_noise(rng: np.random.Generator, shape_kji: Shape, correlation_voxels: int) -> Floats:
    """Return a smooth random field with mean near 0 and standard deviation 1.

    Parameters
    ----------
    rng
        Source of randomness.
    shape_kji
        Shape of the result.
    correlation_voxels
        Distance between the independent values it is interpolated from.
    """
    knots = [n // correlation_voxels + 2 for n in shape_kji]
    field = refine(rng.standard_normal(knots, dtype=np.float32), correlation_voxels, shape_kji)
    return np.asarray(field / max(float(field.std()), 1e-6), dtype=np.float32)


def refine(coarse: Floats, factor: int, shape_kji: Shape) -> Floats:
    """Interpolate a field known at every ``factor``-th voxel linearly to every voxel of ``shape_kji``."""
    fine = np.asarray(coarse, dtype=np.float32)
    for axis in (2, 1, 0):  # the contiguous axis while there is least to do
        fine = _refine_axis(fine, factor, axis, shape_kji[axis])
    return fine


def _refine_axis(coarse: Floats, factor: int, axis: int, size: int) -> Floats:
    knots = coarse.shape[axis]
    if knots * factor < size:
        raise ValueError(f"{knots} knots every {factor} voxels do not span {size} voxels")
    before, after = (slice(None),) * axis, (slice(None),) * (2 - axis)
    upper = np.take(coarse, np.minimum(np.arange(1, knots + 1), knots - 1), axis=axis)
    fine = np.empty((*coarse.shape[:axis], knots * factor, *coarse.shape[axis + 1 :]), dtype=np.float32)
    for step in range(factor):
        weight = np.float32(step / factor)
        fine[(*before, slice(step, None, factor), *after)] = (1 - weight) * coarse + weight * upper
    return fine[(*before, slice(0, size), *after)]


def signed_distance(mask: Mask, spacing_kji_mm: tuple[float, float, float]) -> Floats:
    """Return the distance to the surface of a mask in mm: negative inside, positive outside."""
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing_kji_mm)
    inside = ndimage.distance_transform_edt(mask, sampling=spacing_kji_mm)
    return np.asarray(outside - inside, dtype=np.float32)


def sample_at(volume: Floats, points_kji: Points) -> Points:
    """Interpolate a volume linearly at fractional indices (n, 3)."""
    values = ndimage.map_coordinates(volume, points_kji.T, order=1, mode="nearest", prefilter=False)
    return np.asarray(values, dtype=np.float64)


def paint_tube_fractions(shape_kji: Shape, points_kji: Points, radii_voxels: Points) -> Floats:
    """Return how much of each voxel lies within the union of spheres strung along tubes.

    Parameters
    ----------
    shape_kji
        Shape of the result.
    points_kji
        (n, 3) sphere centres as fractional voxel indices.
    radii_voxels
        (n,) their radii.

    Returns
    -------
    float32, 0..1
        Occupied share of the ``SUBDIVISIONS`` ** 3 sub-voxels of each voxel.
    """
    fine_shape = np.array(shape_kji) * SUBDIVISIONS
    centres = np.rint((points_kji + 0.5) * SUBDIVISIONS - 0.5).astype(np.int64)
    tenths = np.maximum(np.rint(radii_voxels * SUBDIVISIONS * 10).astype(int), 10)
    occupied = [np.zeros(0, dtype=np.int64)]
    for radius in np.unique(tenths):
        ball = _ball_offsets(radius / 10.0)
        cells = (centres[tenths == radius][:, None, :] + ball[None, :, :]).reshape(-1, 3)
        cells = cells[np.all((cells >= 0) & (cells < fine_shape), axis=1)]
        occupied.append(np.ravel_multi_index(tuple(cells.T), tuple(fine_shape)))
    fine_index = np.unravel_index(_distinct(np.concatenate(occupied)), tuple(fine_shape))
    voxels = np.ravel_multi_index(tuple(axis // SUBDIVISIONS for axis in fine_index), shape_kji)
    counts = np.bincount(voxels, minlength=int(np.prod(shape_kji))).reshape(shape_kji)
    return np.asarray(counts / SUBDIVISIONS**3, dtype=np.float32)


def _distinct(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sort and drop repeats: several times faster than np.unique on millions of neighbouring indices."""
    values = np.sort(values)
    return np.asarray(values[np.diff(values, prepend=-1) > 0])


def _ball_offsets(radius: float) -> NDArray[np.int64]:
    reach = int(np.floor(radius))
    axis = np.arange(-reach, reach + 1)
    offsets = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(offsets[(offsets**2).sum(axis=1) <= radius**2], dtype=np.int64)
