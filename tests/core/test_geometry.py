import numpy as np
import pytest

from core.geometry import Grid

OBLIQUE = np.array(
    [
        [0.0, 0.1, 0.7, -80.0],
        [-0.3, 0.6, -0.1, -100.0],
        [1.4, 0.2, 0.05, -60.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


def test_index_to_world_and_back_is_the_identity() -> None:
    grid = Grid((10, 20, 30), OBLIQUE)
    index = np.array([[0, 0, 0], [9, 19, 29], [1.5, 2.25, 3.75]])
    np.testing.assert_allclose(grid.to_index_kji(grid.to_lps_mm(index)), index, atol=1e-9)


def test_voxel_volume_is_the_product_of_spacings_when_axes_are_perpendicular() -> None:
    grid = Grid((4, 4, 4), np.diag([1.5, 0.7, 0.7, 1.0]))
    assert grid.voxel_volume_mm3 == pytest.approx(1.5 * 0.7 * 0.7)
    assert grid.spacing_kji_mm == pytest.approx((1.5, 0.7, 0.7))


def test_a_singular_affine_is_refused() -> None:
    with pytest.raises(ValueError, match="singular"):
        Grid((1, 1, 1), np.zeros((4, 4)))


def test_a_grid_cannot_be_changed() -> None:
    grid = Grid((4, 4, 4), np.eye(4))
    with pytest.raises(ValueError, match="read-only"):
        grid.affine_kji_to_lps_mm[0, 3] = 1.0


def test_grids_that_differ_by_a_voxel_are_not_the_same() -> None:
    grid = Grid((4, 4, 4), np.eye(4))
    moved = np.eye(4)
    moved[0, 3] = 1.0
    assert grid.is_close_to(Grid((4, 4, 4), np.eye(4)))
    assert not grid.is_close_to(Grid((4, 4, 4), moved))
    assert not grid.is_close_to(Grid((4, 4, 5), np.eye(4)))
