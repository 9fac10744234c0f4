"""Outlines -> contours in the patient, in the planes of the source images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.valuerep import format_number_as_ds

from worker.encoding.planes import Plane
from worker.encoding.structures.references import image_reference
from worker.outlines import Outline
from worker.volumes import SliceReference

DECIMALS_MM = 4
"""Of a coordinate that changes along a contour: far below a voxel, and a contour stays below 64 KiB."""


def contour_items(
    outlines: Sequence[Outline], planes: Sequence[Plane], slices: Sequence[SliceReference]
) -> list[Dataset]:
    """Return the items of a Contour Sequence, numbered from 1.

    Parameters
    ----------
    planes
        Of the image of every slice k, as its own header states it.
    slices
        The source of every slice k.
    """
    items = []
    for number, outline in enumerate(outlines, start=1):
        item = Dataset()
        item.ContourImageSequence = [image_reference(slices[outline.k])]
        item.ContourGeometricType = "CLOSED_PLANAR"
        item.NumberOfContourPoints = len(outline.points_ji)
        item.ContourNumber = number
        item.ContourData = _decimal_strings(planes[outline.k].to_lps_mm(outline.points_ji))
        items.append(item)
    return items


def _decimal_strings(points_lps_mm: NDArray[np.float64]) -> list[str]:
    """Write x, y and z point by point.

    A coordinate that is the same all along is kept to the last digit that fits: a viewer that looks for the
    contours at an image's position finds them.
    """
    constant = np.ptp(points_lps_mm, axis=0) == 0.0
    rounded = np.where(constant, points_lps_mm, points_lps_mm.round(DECIMALS_MM)) + 0.0  # no minus zero
    return [format_number_as_ds(value) for value in rounded.ravel().tolist()]
