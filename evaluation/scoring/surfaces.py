"""Distances between the surfaces of two masks.

The surface of a mask is the centres of its voxels that have a face neighbour outside it. Distances
are Euclidean, in mm, on the grid's own spacing; percentiles count every surface voxel once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.errors import InvalidInput

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]
Slices = tuple[slice, ...]

ROBUST_PERCENTILE = 95
"""Of the robust Hausdorff distance."""

TOLERANCE_MM = 1.0
"""Of the surface Dice: about a voxel of planning scans, and what two readers differ by."""


@dataclass(frozen=True, slots=True)
class SurfaceDistance:
    """How far two surfaces lie apart.

    Parameters
    ----------
    prediction_to_reference_mm, reference_to_prediction_mm
        95th percentiles of the distances from each surface to the nearest point of the other.
    surface_dice
        Share of both surfaces' voxels that lie within ``TOLERANCE_MM`` of the other (NSD).
    """

    prediction_to_reference_mm: float
    reference_to_prediction_mm: float
    surface_dice: float

    @property
    def symmetric_mm(self) -> float:
        """The larger of both directions."""
        return max(self.prediction_to_reference_mm, self.reference_to_prediction_mm)


def measure_surface_distance(
    prediction_kji: Mask, reference_kji: Mask, spacing_kji_mm: Spacing
) -> SurfaceDistance:
    """Return robust Hausdorff distances and surface Dice of two masks of one grid.

    Raises
    ------
    InvalidInput
        A mask is empty: there is no distance to nothing.
    """
    if not prediction_kji.any() or not reference_kji.any():
        raise InvalidInput("a mask without voxels has no surface, expected two masks that have some")
    (box,) = ndimage.find_objects((prediction_kji | reference_kji).astype(np.uint8))
    prediction, reference = _surface(prediction_kji[box]), _surface(reference_kji[box])
    there = _distances_mm(prediction, reference, spacing_kji_mm)
    back = _distances_mm(reference, prediction, spacing_kji_mm)
    return SurfaceDistance(
        prediction_to_reference_mm=float(np.percentile(there, ROBUST_PERCENTILE)),
        reference_to_prediction_mm=float(np.percentile(back, ROBUST_PERCENTILE)),
        surface_dice=float(np.mean(np.concatenate([there, back]) <= TOLERANCE_MM)),
    )


def joint_box(boxes: Sequence[Slices]) -> Slices:
    """Return the smallest box around several."""
    return tuple(
        slice(min(s.start for s in along), max(s.stop for s in along)) for along in zip(*boxes, strict=True)
    )


def _surface(mask: Mask) -> Mask:
    return np.asarray(mask & ~ndimage.binary_erosion(mask), dtype=np.bool_)


def _distances_mm(points: Mask, surface: Mask, spacing_kji_mm: Spacing) -> NDArray[np.float64]:
    """Return the distance of each point to the nearest of a surface."""
    distance_mm = ndimage.distance_transform_edt(~surface, sampling=spacing_kji_mm)
    return np.asarray(distance_mm[points], dtype=np.float64)
