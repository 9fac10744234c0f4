import numpy as np
import pytest

from core.geometry import Grid
from phantom.scanner import (
    DIRECTIONS_KJI_LPS,
    Orientation,
    ScannerQuality,
    acquire,
    plan_grid,
    rigid_matrix,
    sample_slices,
)

PERFECT = ScannerQuality(noise=0.0, bias=0.0, blur_mm=0.0, gain=100.0)


def grid_of(shape: tuple[int, int, int], spacing: float = 1.0) -> Grid:
    return Grid(shape, np.diag([spacing] * 3 + [1.0])[[2, 1, 0, 3]])


@pytest.mark.parametrize("orientation", list(Orientation))
@pytest.mark.parametrize("oblique_deg", [0.0, 25.0])
def test_slices_are_ordered_along_row_cross_column_direction(orientation, oblique_deg):
    grid = plan_grid(
        np.array([160.0, 200, 180]), np.array([3.0, -5, 7]), (2.0, 1.5, 1.5), orientation, oblique_deg
    )
    k, j, i = grid.directions_lps.T
    np.testing.assert_allclose(np.cross(i, j), k, atol=1e-9)


@pytest.mark.parametrize("orientation", list(Orientation))
def test_a_planned_grid_covers_the_box_and_is_centred_on_it(orientation):
    extent, centre = np.array([160.0, 200, 180]), np.array([3.0, -5, 7])
    grid = plan_grid(extent, centre, (2.0, 1.5, 1.5), orientation, 0.0)
    np.testing.assert_allclose(grid.to_lps_mm((np.array(grid.shape_kji) - 1) / 2), centre, atol=1e-9)
    covered = np.abs(np.array(DIRECTIONS_KJI_LPS[orientation]).T) @ (
        np.array(grid.shape_kji) * grid.spacing_kji_mm
    )
    assert (covered >= extent - 1e-9).all()


def test_a_rigid_offset_has_the_size_asked_for():
    centre = np.array([10.0, -20, 30])
    matrix = rigid_matrix(30.0, 40.0, centre, np.random.default_rng(0))
    angle = np.rad2deg(np.arccos((np.trace(matrix[:3, :3]) - 1) / 2))
    shift = np.linalg.norm(matrix[:3, :3] @ centre + matrix[:3, 3] - centre)
    assert (angle, shift) == (pytest.approx(30.0), pytest.approx(40.0))
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)


def test_a_thick_slice_is_the_mean_over_its_thickness():
    volume = np.zeros((40, 8, 8), np.float32)
    volume[20:] = 1.0
    thick = plan_grid(
        np.array([6.0, 6, 30]), np.array([3.5, 3.5, 19.5]), (5.0, 1.0, 1.0), Orientation.AXIAL, 0.0
    )
    sampled = sample_slices(volume, grid_of((40, 8, 8)), thick, np.eye(4))[:, 3, 3]
    np.testing.assert_allclose(sampled, [0, 0, 0, 1, 1, 1], atol=0.15)
    shifted = Grid(
        thick.shape_kji, thick.affine_kji_to_lps_mm + np.array([[0, 0, 0, 0]] * 2 + [[0, 0, 0, 2.5], [0] * 4])
    )
    assert sample_slices(volume, grid_of((40, 8, 8)), shifted, np.eye(4))[2, 3, 3] == pytest.approx(
        0.5, abs=0.1
    )


def test_a_perfect_scanner_only_scales():
    signal = np.random.default_rng(0).random((6, 6, 6), dtype=np.float32)
    scanned = acquire(signal, grid_of((6, 6, 6)), PERFECT, np.random.default_rng(1))
    np.testing.assert_allclose(scanned, 100 * signal, rtol=1e-5)


def test_noise_in_air_is_rayleigh_distributed():
    quality = ScannerQuality(noise=0.05, bias=0.0, blur_mm=0.0, gain=1.0)
    scanned = acquire(
        np.zeros((40, 40, 40), np.float32), grid_of((40, 40, 40)), quality, np.random.default_rng(1)
    )
    assert scanned.mean() == pytest.approx(0.05 * np.sqrt(np.pi / 2), rel=0.02)


def test_the_bias_field_has_the_spread_asked_for_and_is_smooth():
    quality = ScannerQuality(noise=0.0, bias=0.2, blur_mm=0.0, gain=1.0)
    field = np.log(
        acquire(np.ones((40, 40, 40), np.float32), grid_of((40, 40, 40)), quality, np.random.default_rng(1))
    )
    assert field.std() == pytest.approx(0.2, rel=0.05)
    assert np.abs(np.diff(field, axis=0)).max() < 0.2
