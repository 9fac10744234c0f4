"""Where images lie in the patient, read from their headers: nothing here is shared with the writers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from core.errors import Defect
from core.geometry import Grid
from core.headers import frame_groups
from worker.encoding.agreement import distance_mm
from worker.encoding.sources import EncodingSources
from worker.volumes import SliceReference

POSITION_TOLERANCE_MM = 0.01
"""Where the headers state an exact grid, positions survive to far less than this."""

IN_PLANE_DEPARTURE_LIMIT_MM = 0.5
"""Headers may round positions and cosines (loading tolerates a quarter of a millimetre of drift and one
of cosines); beyond this the slices are not those of the grid."""

CORNERS_JI = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
"""The four corners of an image, as shares of (rows - 1, columns - 1)."""


@dataclass(frozen=True, eq=False)
class Plane:
    """Position of an image in the patient, as its header states it (PS3.3 C.7.6.2.1.1).

    ``origin_lps_mm`` is the centre of the first pixel; ``step_j_lps_mm`` leads to the next row,
    ``step_i_lps_mm`` to the next column.
    """

    origin_lps_mm: NDArray[np.float64]
    step_j_lps_mm: NDArray[np.float64]
    step_i_lps_mm: NDArray[np.float64]

    def to_lps_mm(self, index_ji: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map (row, column), shape (n, 2), to LPS mm, shape (n, 3)."""
        steps = np.stack([self.step_j_lps_mm, self.step_i_lps_mm])
        return np.asarray(self.origin_lps_mm + index_ji @ steps)

    def corners_lps_mm(self, rows: int, columns: int) -> NDArray[np.float64]:
        """Return the centres of the four corner pixels, 4 x 3."""
        return self.to_lps_mm(CORNERS_JI * [rows - 1, columns - 1])


def read_plane(places: Sequence[Dataset]) -> Plane:
    """Read a plane from whichever of the places states each of its attributes."""
    orientation = _numbers(places, "ImageOrientationPatient")
    spacing = _numbers(places, "PixelSpacing")
    return Plane(
        origin_lps_mm=_numbers(places, "ImagePositionPatient"),
        step_j_lps_mm=orientation[3:] * spacing[0],
        step_i_lps_mm=orientation[:3] * spacing[1],
    )


def read_source_planes(sources: Sequence[Dataset], slices: Sequence[SliceReference]) -> list[Plane]:
    """Read the plane of every slice from the source headers."""
    by_uid = {str(source.SOPInstanceUID): source for source in sources}
    planes = []
    for reference in slices:
        dataset = by_uid[reference.sop_instance_uid]
        planes.append(read_plane([*frame_groups(dataset, (reference.frame_number or 1) - 1), dataset]))
    return planes


def _numbers(places: Sequence[Dataset], keyword: str) -> NDArray[np.float64]:
    value = next(place[keyword].value for place in places if place.get(keyword) not in (None, ""))
    return np.array([float(v) for v in value])


def departure_mm(sources: EncodingSources, grid: Grid) -> float:
    """Return how far the source headers' planes lie from the regular grid at most, in mm.

    Raises
    ------
    Defect
        A slice lies nearer to another slice of the grid, or far off in its plane.
    """
    largest_mm = 0.0
    for k, plane in enumerate(read_source_planes(sources.t1_post, sources.slices)):
        stated = grid.to_index_kji(plane_corners_lps_mm(plane, grid))
        expected = grid.to_index_kji(grid_corners_lps_mm(k, grid))
        off = stated - expected
        in_plane_mm = float(np.abs(off[:, 1:] * grid.spacing_kji_mm[1:]).max())
        if np.abs(off[:, 0]).max() >= 0.5 or in_plane_mm > IN_PLANE_DEPARTURE_LIMIT_MM:
            raise Defect(f"the source of slice {k} lies at index {stated[0].tolist()}, expected {[k, 0, 0]}")
        largest_mm = max(
            largest_mm, distance_mm(plane_corners_lps_mm(plane, grid), grid_corners_lps_mm(k, grid))
        )
    return largest_mm


def plane_corners_lps_mm(plane: Plane, grid: Grid) -> NDArray[np.float64]:
    """Return the centres of a plane's four corner pixels, 4 x 3, for images of the grid's size."""
    return plane.corners_lps_mm(grid.shape_kji[1], grid.shape_kji[2])


def grid_corners_lps_mm(k: int, grid: Grid) -> NDArray[np.float64]:
    """Return the same of slice k of a grid."""
    last_j, last_i = grid.shape_kji[1] - 1, grid.shape_kji[2] - 1
    return grid.to_lps_mm([[k, 0, 0], [k, 0, last_i], [k, last_j, 0], [k, last_j, last_i]])
