"""Compact bodies: ellipsoids in standard millimetres with an irregular surface, painted sub-voxel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from phantom.fields import Floats, Points, smooth_noise
from phantom.synthesis.anatomy.label_map import Box
from phantom.synthesis.anatomy.structures import Structure
from phantom.synthesis.contrast.layers import scatter
from phantom.synthesis.contrast.terrain import Terrain

LARGEST_BULGE = 1.6
"""No surface lies further out than this many radii."""

BULGE_VOXELS = 3
"""Distance between independent values of the surface."""


def paint_body(
    terrain: Terrain,
    centre_mm: Points,
    radii_mm: Points,
    rng: np.random.Generator,
    within: frozenset[Structure] | None = None,
    roughness: float = 0.2,
) -> tuple[Box, Floats]:
    """Paint an ellipsoid with an irregular surface.

    Parameters
    ----------
    terrain
        The head.
    centre_mm, radii_mm
        Centre and half axes (up, back, left) in standard mm.
    rng
        Source of randomness.
    within
        Structures it may lie in; None for any.
    roughness
        Standard deviation of its surface relative to its radius.
    """
    low, size = _window(terrain, centre_mm, LARGEST_BULGE * float(np.max(radii_mm)))
    if min(size) <= 0:
        return (slice(0, 0),) * 3, np.zeros((0, 0, 0), dtype=np.float32)
    voxels = np.indices(size).reshape(3, -1).T + low
    offset = (terrain.frame.to_standard(voxels.astype(np.float64)) - centre_mm) / radii_mm
    surface = 1 + roughness * smooth_noise(rng, size, BULGE_VOXELS).ravel()
    inside = (surface - np.sqrt((offset**2).sum(axis=1))) * float(np.min(radii_mm))
    fraction = np.clip(0.5 + inside, 0, 1)
    if within is not None:
        allowed = np.isin(terrain.labels_kji[tuple(voxels.T)], list(within)).reshape(size)
        mostly = ndimage.uniform_filter(allowed.astype(np.float32), 3)
        fraction = fraction * np.clip(2 * mostly - 0.5, 0, 1).ravel()
    return scatter(voxels, fraction, terrain.shape)


def _window(
    terrain: Terrain, centre_mm: Points, reach_mm: float
) -> tuple[NDArray[np.int64], tuple[int, int, int]]:
    """Return the first voxel and the shape of the part of the head within a distance of a standard place."""
    reach = reach_mm * float(np.linalg.norm(terrain.frame.matrix, axis=0).max()) + 1
    middle = terrain.frame.to_index(centre_mm)
    low = np.clip(np.floor(middle - reach), 0, terrain.shape).astype(np.int64)
    high = np.clip(np.ceil(middle + reach), 0, terrain.shape).astype(np.int64)
    return low, (int(high[0] - low[0]), int(high[1] - low[1]), int(high[2] - low[2]))


def paint_core(terrain: Terrain, box: Box, centre_mm: Points, radii_mm: Points) -> Floats:
    """Return the share of each voxel of a box inside a smooth ellipsoid in standard mm."""
    starts = np.array([s.start for s in box])
    shape = [s.stop - s.start for s in box]
    index = np.indices(shape).reshape(3, -1).T + starts
    offset = (terrain.frame.to_standard(index) - centre_mm) / radii_mm
    inside = (1 - np.sqrt((offset**2).sum(axis=1))) * float(np.min(radii_mm))
    return np.asarray(np.clip(0.5 + inside, 0, 1).reshape(shape), dtype=np.float32)
