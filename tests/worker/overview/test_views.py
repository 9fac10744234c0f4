"""However a scan lies, its pictures hang as radiologists expect: judged by patient coordinates alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from core.geometry import Grid
from tests.dicom_sources import AXIAL, OBLIQUE, SAGITTAL, make_grid
from worker.overview.views import View, direction_letters, hangings

CORONAL = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
NEGATED_COLUMN = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0))
NEGATED_ROW = ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
ORIENTATIONS = [AXIAL, SAGITTAL, CORONAL, OBLIQUE, NEGATED_COLUMN, NEGATED_ROW]

RIGHT_AND_DOWN = {
    View.AXIAL: ((1, 0, 0), (0, 1, 0)),
    View.CORONAL: ((1, 0, 0), (0, 0, -1)),
    View.SAGITTAL: ((0, 1, 0), (0, 0, -1)),
}
"""In LPS: the patient's left is on the right of the picture, or the face on its left."""


def coordinates(grid: Grid, direction) -> NDArray[np.float64]:
    """How far every voxel lies along an LPS direction, in mm."""
    index = np.moveaxis(np.indices(grid.shape_kji), 0, -1)
    return grid.to_lps_mm(index) @ np.array(direction, dtype=float)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("view", View)
def test_a_plane_hangs_as_radiologists_expect(orientation, view: View) -> None:
    grid = make_grid(orientation=orientation)
    hanging = next(h for h in hangings(grid) if h.view is view)
    right, down = RIGHT_AND_DOWN[view]
    assert (np.diff(hanging.plane(coordinates(grid, right), 3), axis=1) > 0).all()
    assert (np.diff(hanging.plane(coordinates(grid, down), 3), axis=0) > 0).all()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_voxel_lies_in_its_plane_where_it_is_said_to(orientation) -> None:
    grid = make_grid(orientation=orientation)
    index = np.array([3, 17, 5])
    volume = np.zeros(grid.shape_kji)
    volume[tuple(index)] = 1
    for hanging in hangings(grid):
        plane = hanging.plane(volume, int(index[hanging.normal]))
        assert tuple(np.argwhere(plane)[0]) == hanging.place(index.astype(float), grid)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_acquired_view_comes_first(orientation) -> None:
    first, *others = hangings(make_grid(orientation=orientation))
    assert first.is_acquired
    assert not any(hanging.is_acquired for hanging in others)


def test_letters_name_the_edges_of_an_axial_picture() -> None:
    grid = make_grid()
    axial, *_ = hangings(grid)
    assert axial.letters(grid) == ("R", "L", "A", "P")


def test_a_tilted_edge_has_two_letters() -> None:
    assert direction_letters(np.array([0.0, 0.9, -0.44])) == "PI"
