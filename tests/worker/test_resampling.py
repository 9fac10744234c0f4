from __future__ import annotations

import numpy as np

from tests.synthetic import SAGITTAL, grid_points, make_grid, rigid
from worker.resampling import resample_linear

OBLIQUE = (0.96, 0.28, 0.0, -0.168, 0.576, 0.8)


def linear_field(grid):
    """Linear interpolation restores a linear field exactly."""
    x, y, z = grid_points(grid)
    return (3 * x - 2 * y + 5 * z + 7).astype(np.float32)


def test_a_linear_field_is_restored_on_a_grid_of_another_orientation_and_spacing():
    source = make_grid((30, 40, 50), (1.5, 1.1, 0.9), OBLIQUE, centre_lps_mm=(4, 5, 6))
    target = make_grid((12, 13, 14), (1.0, 1.2, 0.8), SAGITTAL, centre_lps_mm=(5, 4, 6))
    resampled = resample_linear(linear_field(source), source, target)
    np.testing.assert_allclose(resampled, linear_field(target), atol=1e-3)


def test_the_transform_maps_target_points_to_source_points():
    source = make_grid((40, 40, 40), (1, 1, 1))
    target = make_grid((8, 9, 10), (1, 1, 1))
    motion = rigid((10, -5, 8), (2, 3, -4))
    resampled = resample_linear(linear_field(source), source, target, target_to_source_lps=motion)
    x, y, z = (
        np.einsum("ab,bkji->akji", motion[:3, :3], grid_points(target)) + motion[:3, 3, None, None, None]
    )
    np.testing.assert_allclose(resampled, 3 * x - 2 * y + 5 * z + 7, atol=1e-3)


def test_what_the_source_does_not_cover_gets_the_value_asked_for():
    source = make_grid((4, 4, 4), (1, 1, 1))
    target = make_grid((8, 4, 4), (1, 1, 1))
    covered = np.isfinite(resample_linear(linear_field(source), source, target, outside=np.nan))
    np.testing.assert_array_equal(covered.all(axis=(1, 2)), [False] * 2 + [True] * 4 + [False] * 2)
