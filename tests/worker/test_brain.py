from __future__ import annotations

import numpy as np
import pytest

from core.errors import UnsuitableReason, UnsuitableStudy
from core.geometry import Grid
from tests.synthetic import Sphere, brain_depth_mm, distance_mm, grid_points, make_grid, make_volume
from worker.brain import dilate, signal_ends

GRID = make_grid((100, 105, 95), (2, 2, 2))


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


@pytest.mark.parametrize(("enhanced", "gain"), [(True, 5.0), (False, 0.01)])
def test_the_brain_is_found_with_and_without_contrast_in_any_unit(brain, enhanced, gain):
    head = make_volume(GRID, enhanced=enhanced, gain=gain, seed=1)
    truth = brain_depth_mm(grid_points(GRID)) > 0
    assert dice(brain(head.voxels_kji, GRID), truth) > 0.93


def test_the_cube_follows_a_head_that_is_not_in_the_middle(brain):
    grid = make_grid((130, 140, 115), (2, 2, 2), centre_lps_mm=(18, -25, -45))
    head = make_volume(grid, seed=1)
    truth = brain_depth_mm(grid_points(grid)) > 0
    assert dice(brain(head.voxels_kji, grid), truth) > 0.93


def test_a_large_enhancing_lesion_stays_inside_the_brain(brain):
    lesion = Sphere((30, -15, 35), 18)
    head = make_volume(GRID, lesions=(lesion,), seed=1)
    mask = brain(head.voxels_kji, GRID)
    inside = distance_mm(grid_points(GRID), lesion) <= 17
    assert mask[inside].mean() > 0.99


def cut(grid: Grid, voxels, low: int, high: int) -> tuple:
    """Keep slices ``low`` to ``high`` (exclusive) of a head and of its grid."""
    affine = grid.affine_kji_to_lps_mm.copy()
    affine[:3, 3] = grid.to_lps_mm((low, 0, 0))
    return voxels[low:high], Grid((high - low, *grid.shape_kji[1:]), affine)


def test_the_brain_reaches_the_slice_the_scan_cut_it_at(brain):
    # Slice 82 lies 12 mm under the vertex of the brain, slice 32 at 12 mm above its lowest point.
    head, grid = cut(GRID, make_volume(GRID, seed=1).voxels_kji, 32, 83)
    mask = brain(head, grid)
    truth = brain_depth_mm(grid_points(grid)) > 0
    for end in (0, -1):
        assert dice(mask[end], truth[end]) > 0.8
    assert dice(mask, truth) > 0.93


def test_slices_of_zeros_beyond_the_cut_hold_no_brain(brain):
    volume = make_volume(GRID, seed=1).voxels_kji
    volume[83:] = 0
    mask = brain(volume, GRID)
    truth = brain_depth_mm(grid_points(GRID)) > 0
    assert dice(mask[82], truth[82]) > 0.8
    assert not mask[83:].any()
    assert signal_ends(volume, GRID) == (0, 82)


def test_a_head_that_ends_in_air_was_not_cut():
    volume = make_volume(GRID, seed=1).voxels_kji
    volume[volume < 100] = 0
    assert signal_ends(volume, GRID) == (0, GRID.shape_kji[0] - 1)


def test_an_empty_image_has_no_brain(brain):
    with pytest.raises(UnsuitableStudy) as caught:
        brain(np.zeros(GRID.shape_kji, dtype=np.float32), GRID)
    assert caught.value.reason is UnsuitableReason.NO_BRAIN_FOUND


def test_dilation_adds_its_margin_on_every_side():
    grid = make_grid((21, 21, 21), (1, 1, 1))
    mask = np.zeros(grid.shape_kji, dtype=bool)
    mask[10, 10, 10] = True
    reached = np.argwhere(dilate(mask, grid, 3.0)) - 10
    assert np.linalg.norm(reached, axis=1).max() <= 3.5
    np.testing.assert_array_equal(np.abs(reached).max(axis=0), (3, 3, 3))
