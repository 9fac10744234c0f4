"""Structure sets read from their bytes with plain pydicom: nothing here is shared with the writers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataelem import RawDataElement

from core.errors import Defect
from worker.encoding.planes import Plane
from worker.volumes import SliceReference


@dataclass(frozen=True, eq=False)
class Region:
    """One region of interest, put together from the three sequences that describe it.

    ``volume_mm3`` is what ROI Volume says, turned from cm3.
    """

    number: int
    name: str
    description: str
    frame_of_reference_uid: str
    volume_mm3: float
    interpreted_type: str
    label: str
    colour: tuple[int, ...]
    contours: tuple[Contour, ...]


@dataclass(frozen=True, eq=False)
class Contour:
    """A closed polygon, ``points_lps_mm`` of shape (n, 3), and the image it says it lies on."""

    source: SliceReference
    points_lps_mm: NDArray[np.float64]

    def area_vector_mm2(self) -> NDArray[np.float64]:
        """Return the normal of the polygon with its area as length (Newell)."""
        arms = self.points_lps_mm - self.points_lps_mm[0]
        return np.asarray(np.cross(arms, np.roll(arms, -1, axis=0)).sum(axis=0) / 2)

    def moment_mm3(self) -> NDArray[np.float64]:
        """Return area times centroid, in mm3, from the triangles around the first point."""
        first = self.points_lps_mm[0]
        arms = self.points_lps_mm - first
        triangles = np.cross(arms, np.roll(arms, -1, axis=0)) / 2
        total = triangles.sum(axis=0)
        signed = triangles @ (total / np.linalg.norm(total))
        centroids = first + (arms + np.roll(arms, -1, axis=0)) / 3
        return np.asarray(signed @ centroids)


def read_regions(structure_set: Dataset) -> list[Region]:
    """Return the regions in the order of the Structure Set ROI Sequence."""
    shapes = {int(item.ReferencedROINumber): item for item in structure_set.ROIContourSequence}
    observations = {int(item.ReferencedROINumber): item for item in structure_set.RTROIObservationsSequence}
    items = structure_set.StructureSetROISequence
    numbers = [int(item.ROINumber) for item in items]
    if sorted(shapes) != sorted(numbers) or sorted(observations) != sorted(numbers):
        raise Defect(f"regions {numbers} have contours {sorted(shapes)}, observations {sorted(observations)}")
    return [
        Region(
            number=number,
            name=str(item.ROIName),
            description=str(item.ROIDescription),
            frame_of_reference_uid=str(item.ReferencedFrameOfReferenceUID),
            volume_mm3=float(item.ROIVolume) * 1000,
            interpreted_type=str(observations[number].RTROIInterpretedType or ""),
            label=str(observations[number].ROIObservationLabel),
            colour=tuple(int(v) for v in shapes[number].ROIDisplayColor),
            contours=tuple(_contour(contour) for contour in shapes[number].ContourSequence),
        )
        for number, item in zip(numbers, items, strict=True)
    ]


def _decimals(item: Dataset, keyword: str) -> NDArray[np.float64]:
    """Return the numbers of a DS element; thousands of them, so that NumPy reads the text as it stands."""
    element: object = item.get_item(keyword)
    if isinstance(element, RawDataElement) and element.value is not None:
        return np.array(element.value.split(b"\\"), dtype=np.bytes_).astype(np.float64)
    return np.array([float(value) for value in item[keyword].value])


def read_reference(item: Dataset) -> SliceReference:
    """Return the image an item points to."""
    frame = item.get("ReferencedFrameNumber")
    return SliceReference(
        str(item.ReferencedSOPClassUID),
        str(item.ReferencedSOPInstanceUID),
        None if frame is None else int(frame),
    )


def to_plane_ji(plane: Plane, points_lps_mm: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return points as (row, column) of an image, (n, 2), and how far the farthest lies off it in mm."""
    steps = np.stack([plane.step_j_lps_mm, plane.step_i_lps_mm])
    arms = points_lps_mm - plane.origin_lps_mm
    index_ji = arms @ np.linalg.pinv(steps)
    return index_ji, float(np.linalg.norm(arms - index_ji @ steps, axis=1).max())


def centres_inside(points_ji: NDArray[np.float64], shape_ji: Sequence[int]) -> NDArray[np.bool_]:
    """Return the voxels whose centres a polygon encloses, by the even-odd rule.

    Parameters
    ----------
    points_ji
        Corners (row, column), voxel centres at whole numbers.
    shape_ji
        Rows, columns.
    """
    rows, columns = np.arange(shape_ji[0]), np.arange(shape_ji[1])
    inside = np.zeros(tuple(shape_ji), dtype=bool)
    for start, end in zip(points_ji, np.roll(points_ji, -1, axis=0), strict=True):
        # From top to bottom whichever way it runs: a keyhole's two ways cancel to the last digit.
        (top, left), (bottom, right) = sorted([tuple(start), tuple(end)])
        crossed = rows[(rows >= top) & (rows < bottom)]
        at_column = left + (crossed - top) * ((right - left) / (bottom - top if bottom > top else 1.0))
        inside[crossed] ^= columns[None, :] < at_column[:, None]
    return inside


def _contour(item: Dataset) -> Contour:
    numbers = _decimals(item, "ContourData")
    count = int(item.NumberOfContourPoints)
    if item.ContourGeometricType != "CLOSED_PLANAR" or len(numbers) != 3 * count or count < 3:
        raise Defect(f"{item.ContourGeometricType} contour of {len(numbers)} numbers for {count} points")
    if len(item.ContourImageSequence) != 1:
        raise Defect(f"a contour refers to {len(item.ContourImageSequence)} images, expected 1")
    return Contour(read_reference(item.ContourImageSequence[0]), numbers.reshape(count, 3))
