"""Outlines -> contours in the patient, in the planes of the source images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import DataElement, Dataset
from pydicom.valuerep import VR, format_number_as_ds

from worker.encoding.planes import Plane
from worker.encoding.structures.references import image_reference
from worker.outlines import Outline
from worker.volumes import SliceReference

DECIMALS_MM = 4
"""Of a coordinate that changes along a contour: far below a voxel, and a contour stays below 64 KiB."""

TOLD_APART_MM = 0.002
"""Shift of a point that differs from the one before in z alone, as on sagittal and coronal slices:
plastimatch 1.9 takes both for one and makes a triangle of a rectangle. No volume notices it."""


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
        strings = _decimal_strings(_told_apart(outline, planes[outline.k]))
        # Strings as they are to be written: pydicom would make a number of each, and a string of it again.
        item.add(DataElement("ContourData", VR.DS, strings, already_converted=True))
        items.append(item)
    return items


def _told_apart(outline: Outline, plane: Plane) -> NDArray[np.float64]:
    """Return the points in LPS mm, neighbours apart in x or y; a keyhole's two ways stay on each other."""
    points_lps_mm = plane.to_lps_mm(outline.points_ji)
    if len(np.unique(outline.points_ji, axis=0)) < len(points_lps_mm):
        return points_lps_mm
    step = max(plane.step_j_lps_mm, plane.step_i_lps_mm, key=lambda along: float(np.hypot(*along[:2])))
    apart_mm = np.abs(points_lps_mm - np.roll(points_lps_mm, 1, axis=0))[:, :2].max(axis=1)
    shift_mm = np.where(apart_mm < TOLD_APART_MM / 2, TOLD_APART_MM, 0.0)
    return np.asarray(points_lps_mm + np.outer(shift_mm, step / np.linalg.norm(step)))


def _decimal_strings(points_lps_mm: NDArray[np.float64]) -> list[str]:
    """Write x, y and z point by point.

    A coordinate that is the same all along is kept to the last digit that fits: a viewer that looks for the
    contours at an image's position finds them.
    """
    constant = np.ptp(points_lps_mm, axis=0) == 0.0
    rounded = np.where(constant, points_lps_mm, points_lps_mm.round(DECIMALS_MM)) + 0.0  # no minus zero
    return [format_number_as_ds(value) for value in rounded.ravel().tolist()]
