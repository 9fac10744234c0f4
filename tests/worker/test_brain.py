from __future__ import annotations

import numpy as np
import pytest

from core.errors import UnsuitableReason, UnsuitableStudy
from tests.synthetic import Sphere, brain_depth_mm, distance_mm, grid_points, make_grid, make_volume
from worker.brain import dilate

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
