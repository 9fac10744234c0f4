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


@dataclass(frozen=True, slots=True)
class SurfaceDistance:
    """95th percentiles of the distances from each surface to the nearest point of the other, in mm."""

    prediction_to_reference_mm: float
    reference_to_prediction_mm: float

    @property
    def symmetric_mm(self) -> float:
        """The larger of both directions."""
        return max(self.prediction_to_reference_mm, self.reference_to_prediction_mm)


def measure_surface_distance(
    prediction_kji: Mask, reference_kji: Mask, spacing_kji_mm: Spacing
) -> SurfaceDistance:
    """Return the robust Hausdorff distances of two masks of one grid.

    Raises
    ------
    InvalidInput
        A mask is empty: there is no distance to nothing.
    """
    if not prediction_kji.any() or not reference_kji.any():
        raise InvalidInput("a mask without voxels has no surface, expected two masks that have some")
    (box,) = ndimage.find_objects((prediction_kji | reference_kji).astype(np.uint8))
    prediction, reference = _surface(prediction_kji[box]), _surface(reference_kji[box])
    return SurfaceDistance(
        _percentile_to(prediction, reference, spacing_kji_mm),
        _percentile_to(reference, prediction, spacing_kji_mm),
    )


def joint_box(boxes: Sequence[Slices]) -> Slices:
    """Return the smallest box around several."""
    return tuple(
        slice(min(s.start for s in along), max(s.stop for s in along)) for along in zip(*boxes, strict=True)
    )


def _surface(mask: Mask) -> Mask:
    return np.asarray(mask & ~ndimage.binary_erosion(mask), dtype=np.bool_)


def _percentile_to(points: Mask, surface: Mask, spacing_kji_mm: Spacing) -> float:
    distance_mm = ndimage.distance_transform_edt(~surface, sampling=spacing_kji_mm)
    return float(np.percentile(distance_mm[points], ROBUST_PERCENTILE))
