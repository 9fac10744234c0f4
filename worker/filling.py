"""Filled lesions: the enhancing part with what it encloses, such as a necrotic core."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def fill_lesions(label_map_kji: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return a label map whose lesions are filled; no voxel of one lesion goes to another.

    Filled is what a lesion encloses in its slices or in three dimensions: a core that is open to one slice
    only is drawn around in all others. Where two lesions enclose one place, the larger one has it.

    Parameters
    ----------
    label_map_kji
        0 is background, n the voxels of lesion n.
    """
    filled = label_map_kji.copy()
    for number, box in enumerate(ndimage.find_objects(label_map_kji), start=1):
        if box is None:
            continue
        enclosed = _enclosed(label_map_kji[box] == number) & (filled[box] == 0)
        filled[box][enclosed] = number
    return filled


def _enclosed(lesion: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the voxels a lesion's mask encloses, in space or in one of its slices."""
    inside = ndimage.binary_fill_holes(lesion)
    for k in range(lesion.shape[0]):
        inside[k] |= ndimage.binary_fill_holes(lesion[k])
    return np.asarray(inside & ~lesion)
