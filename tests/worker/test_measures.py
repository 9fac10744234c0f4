from __future__ import annotations

import numpy as np
import pytest

from tests.synthetic import AXIAL, SAGITTAL, make_grid
from worker.measures import measure

OBLIQUE = (0.96, 0.28, 0.0, -0.168, 0.576, 0.8)


def ball(grid, radius_mm):
    index = np.indices(grid.shape_kji).reshape(3, -1).T
    centre = grid.to_lps_mm((np.array(grid.shape_kji) - 1) / 2)
    return index[np.linalg.norm(grid.to_lps_mm(index) - centre, axis=1) <= radius_mm], centre


def test_one_voxel_is_measured_by_its_edges():
    grid = make_grid((9, 9, 9), (3.0, 2.0, 1.0), AXIAL)
    size = measure(np.array([[4, 4, 4]]), grid)
    assert size.volume_mm3 == pytest.approx(6.0)
    assert size.longest_diameter_mm == pytest.approx(np.sqrt(9 + 4 + 1))
    assert size.long_axis.length_mm == pytest.approx(np.sqrt(5))
    np.testing.assert_allclose(size.centroid_lps_mm, (0, 0, 0), atol=1e-9)
    np.testing.assert_allclose(size.extent_min_lps_mm, (-0.5, -1.0, -1.5), atol=1e-9)
    np.testing.assert_allclose(size.extent_max_lps_mm, (0.5, 1.0, 1.5), atol=1e-9)


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, OBLIQUE])
def test_a_ball_has_its_volume_and_diameters_in_any_orientation(orientation):
    grid = make_grid((40, 60, 60), (1.0, 0.6, 0.6), orientation, centre_lps_mm=(20, -30, 40))
    index, centre = ball(grid, 8.0)
    size = measure(index, grid)
    assert size.volume_mm3 == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.01)
    np.testing.assert_allclose(size.centroid_lps_mm, centre, atol=0.05)
    # Corners of the outermost voxels lie up to half a voxel diagonal beyond the ball.
    assert 16.0 <= size.longest_diameter_mm <= 17.4
    assert 16.0 <= size.long_axis.length_mm <= 16.9
    assert 15.9 <= size.short_axis.length_mm <= size.long_axis.length_mm


def test_the_axes_of_a_bar_are_its_length_and_width():
    grid = make_grid((5, 40, 40), (2.0, 0.5, 0.5), OBLIQUE)
    index = np.array([(2, 20, i) for i in range(5, 35)])
    size = measure(index, grid)
    assert size.long_axis.length_mm == pytest.approx(np.hypot(15.0, 0.5))
    # The chord across is tilted as the diagonal is, and ends on the bar's long sides.
    assert size.short_axis.length_mm == pytest.approx(0.5 * np.hypot(15.0, 0.5) / 15.0)


def test_the_short_axis_is_at_a_right_angle_to_the_long_one_within_the_slice():
    grid = make_grid((20, 60, 60), (2.0, 0.7, 0.7), OBLIQUE)
    index = np.indices(grid.shape_kji).reshape(3, -1).T
    offset = (index - (10, 30, 30)) * grid.spacing_kji_mm
    tilted = np.column_stack([offset[:, 0], offset[:, 1] + offset[:, 2], offset[:, 1] - offset[:, 2]])
    size = measure(index[((tilted / (8, 20, 10)) ** 2).sum(axis=1) <= 1], grid)
    long, short = (
        np.subtract(axis.end_lps_mm, axis.start_lps_mm) for axis in (size.long_axis, size.short_axis)
    )
    assert long @ short == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(
        [long @ grid.directions_lps[:, 0], short @ grid.directions_lps[:, 0]], 0, atol=1e-6
    )
    assert size.long_axis.length_mm == pytest.approx(20 * np.sqrt(2), abs=1.4)
    assert size.short_axis.length_mm == pytest.approx(10 * np.sqrt(2), abs=1.4)


def test_the_axes_are_taken_in_the_slice_where_the_lesion_is_longest():
    grid = make_grid((10, 20, 20), (3.0, 1.0, 1.0))
    index = np.array([(k, 10, i) for k, width in ((3, 4), (4, 9), (5, 6)) for i in range(width)])
    assert measure(index, grid).slice_index_k == 4


def test_the_longest_diameter_may_run_through_the_slices():
    grid = make_grid((30, 10, 10), (2.0, 1.0, 1.0))
    size = measure(np.array([(k, 5, 5) for k in range(4, 24)]), grid)
    assert size.longest_diameter_mm == pytest.approx(np.sqrt(40**2 + 2))
    assert size.long_axis.length_mm == pytest.approx(np.sqrt(2))
