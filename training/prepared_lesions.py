"""The lesions of a prepared study: what the sampler knows of them without their voxels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.conspicuity import lesion_conspicuity

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class PreparedLesion:
    """One lesion of a prepared study.

    Parameters
    ----------
    number
        Its value in the labels.
    volume_mm3
        Of its labelled voxels.
    centre_ras
        Index of the labelled voxel nearest to its centroid: inside the lesion, also where that is a ring.
    t1_post_conspicuity, subtraction_conspicuity
        Its contrast to noise in either input (``training.conspicuity``).
    """

    number: int
    volume_mm3: float
    centre_ras: tuple[int, int, int]
    t1_post_conspicuity: float
    subtraction_conspicuity: float


def measure_lesions(
    labels_ras: NDArray[np.uint16], t1_post_ras: Floats, subtraction_ras: Floats, mask_ras: NDArray[np.bool_]
) -> tuple[PreparedLesion, ...]:
    """Return volume, centre and conspicuity of every lesion; a voxel has 1 mm3."""
    t1_post, subtraction = (
        lesion_conspicuity(image, labels_ras, mask_ras) for image in (t1_post_ras, subtraction_ras)
    )
    lesions = []
    for number, box in enumerate(ndimage.find_objects(labels_ras), start=1):
        if box is None:
            continue
        indices = np.argwhere(labels_ras[box] == number)
        nearest = indices[np.argmin(((indices - indices.mean(0)) ** 2).sum(1))]
        centre = _triple(nearest + [part.start for part in box])
        lesions.append(
            PreparedLesion(number, float(len(indices)), centre, t1_post[number], subtraction[number])
        )
    return tuple(lesions)


def lesions_from_json(rows: Iterable[Mapping[str, Any]]) -> tuple[PreparedLesion, ...]:
    """Read what ``dataclasses.asdict`` made of lesions."""
    return tuple(PreparedLesion(**{**row, "centre_ras": _triple(row["centre_ras"])}) for row in rows)


def _triple(values: Any) -> tuple[int, int, int]:
    first, second, third = (int(value) for value in values)
    return first, second, third
