"""How far a lesion stands out of its surroundings: whether the members can see it at all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SHELL_VOXELS = (2.0, 4.0)
"""Distance of the surroundings from the lesion: beyond its partial volume, and near enough to compare."""

LEAST_SHELL_VOXELS = 20
"""A lesion with fewer voxels around it is compared with the whole brain."""

SD_PER_MAD = 1.4826
"""Standard deviation of a normal distribution per median absolute deviation."""

LEAST_SPREAD = 1e-6
"""Stands for no spread where one is divided by; images are z-scored."""


def lesion_conspicuity(
    image_kji: NDArray[np.floating[Any]],
    labels_kji: NDArray[np.integer[Any]],
    mask_kji: NDArray[np.bool_],
) -> dict[int, float]:
    """Return the contrast of every lesion to the noise around it.

    That is the mean of its voxels minus the median of a shell around it, over the robust standard deviation
    of that shell. The shell holds no other lesion and nothing the lesion encloses.

    Parameters
    ----------
    image_kji
        One input of a member, in any unit and with any order of axes; voxels are cubes.
    labels_kji
        Number of the lesion, 0 elsewhere.
    mask_kji
        Brain; voxels outside are no surroundings.

    Returns
    -------
    dict[int, float]
        By number; below 1 nobody sees the lesion, negative where it is darker than its surroundings.
    """
    free = mask_kji & (labels_kji == 0)
    conspicuity = {}
    for number, box in enumerate(ndimage.find_objects(labels_kji), start=1):
        if box is None:
            continue
        around = _grown(box)
        lesion = labels_kji[around] == number
        shell = image_kji[around][_shell(lesion) & free[around]]
        surroundings = shell if len(shell) >= LEAST_SHELL_VOXELS else image_kji[free]
        conspicuity[number] = _contrast_to_noise(image_kji[around][lesion], surroundings)
    return conspicuity


def _grown(box: tuple[slice, ...]) -> tuple[slice, ...]:
    reach = int(np.ceil(SHELL_VOXELS[1])) + 1
    return tuple(slice(max(part.start - reach, 0), part.stop + reach) for part in box)


def _shell(lesion: NDArray[np.bool_]) -> NDArray[np.bool_]:
    distance = ndimage.distance_transform_edt(~ndimage.binary_fill_holes(lesion))
    nearest, furthest = SHELL_VOXELS
    return np.asarray((distance >= nearest) & (distance <= furthest))


def _contrast_to_noise(lesion: NDArray[np.floating[Any]], surroundings: NDArray[np.floating[Any]]) -> float:
    if not len(surroundings):
        return 0.0
    values = surroundings.astype(np.float64)
    median = float(np.median(values))
    spread = SD_PER_MAD * float(np.median(np.abs(values - median)))
    return (float(lesion.mean(dtype=np.float64)) - median) / max(spread, LEAST_SPREAD)
