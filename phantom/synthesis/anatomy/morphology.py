"""Growing and closing masks by an exact Euclidean ball, fast enough to be done for every study."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phantom.fields import Mask

MAX_RADIUS_VOXELS = 15
"""Squared distances are kept in one byte: 15 ** 2 = 225 fits, 16 ** 2 does not."""

_FAR = 255


def grow(mask: Mask, radius_voxels: float) -> Mask:
    """Return the voxels whose centre lies within a distance of the mask.

    Squared distances are lowered axis by axis, which is exact; in one byte a voxel it is about ten times
    faster than a distance transform.

    Parameters
    ----------
    mask
        What is grown.
    radius_voxels
        0 to ``MAX_RADIUS_VOXELS``.

    Raises
    ------
    ValueError
        The radius is outside that range.
    """
    if not 0 <= radius_voxels <= MAX_RADIUS_VOXELS:
        raise ValueError(f"radius is {radius_voxels} voxels, expected 0 to {MAX_RADIUS_VOXELS}")
    squared = np.where(mask, np.uint8(0), np.uint8(_FAR))
    for axis in range(mask.ndim):
        squared = _lower_along(squared, axis, int(radius_voxels))
    return np.asarray(squared <= np.uint8(int(radius_voxels**2)))


def shrink(mask: Mask, radius_voxels: float) -> Mask:
    """Return the voxels of a mask that are further than a distance from everything outside it.

    What lies beyond the array counts as inside.
    """
    return np.asarray(~grow(~mask, radius_voxels))


def close(mask: Mask, radius_voxels: float) -> Mask:
    """Fill the gaps of a mask that a ball of that radius cannot enter; keep the mask itself.

    The mask should be further than the radius from the edges of the array.
    """
    return np.asarray(shrink(grow(mask, radius_voxels), radius_voxels) | mask)


def _lower_along(squared: NDArray[np.uint8], axis: int, reach: int) -> NDArray[np.uint8]:
    """Give each voxel the least of its neighbours' squared distances plus the squared step to them."""
    lowered = squared.copy()
    target, source = np.moveaxis(lowered, axis, 0), np.moveaxis(squared, axis, 0)
    for step in range(1, min(reach, len(source) - 1) + 1):
        cost = np.uint8(step * step)
        further = np.where(source <= _FAR - cost, source + cost, np.uint8(_FAR))
        np.minimum(target[step:], further[:-step], out=target[step:])
        np.minimum(target[:-step], further[step:], out=target[:-step])
    return lowered
