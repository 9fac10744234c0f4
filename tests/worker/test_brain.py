from __future__ import annotations

import numpy as np
import pytest

from core.errors import UnsuitableReason, UnsuitableStudy
from core.geometry import Grid
from tests.synthetic import Sphere, brain_depth_mm, distance_mm, grid_points, make_grid, make_volume
from worker.brain import NetworkBrainExtraction, dilate, signal_ends

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


def test_the_brain_reaches_the_slice_the_scan_cut_it_at(brain, model_set):
    # Slice 82 lies 12 mm under the vertex of the brain, slice 32 at 12 mm above its lowest point.
    head, grid = cut(GRID, make_volume(GRID, seed=1).voxels_kji, 32, 83)
    mask = brain(head, grid)
    truth = brain_depth_mm(grid_points(grid)) > 0
    used = dilate(mask, grid, model_set.manifest.input.brain_dilation_mm)  # as the service does
    for end in (0, -1):
        assert np.count_nonzero(used[end] & truth[end]) > 0.9 * np.count_nonzero(truth[end])
    assert dice(mask, truth) > 0.95


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


class BrightIsBrain:
    """Stands for the network: what is nearly as bright as the brightest is brain."""

    def run(self, images):
        return (images > 0.8).astype(np.float32)


def bright_brain(grid: Grid, *more: Sphere, holes: tuple[Sphere, ...] = ()):
    """Return a dim head of 95 mm radius with bright spheres in it, and with dark holes in those."""
    points = grid_points(grid)
    voxels = np.where(distance_mm(points, Sphere((0, 0, 0), 95)) < 95, 50, 0).astype(np.float32)
    for sphere in more:
        voxels[distance_mm(points, sphere) < sphere.radius_mm] = 100
    for hole in holes:
        voxels[distance_mm(points, hole) < hole.radius_mm] = 10
    return voxels


@pytest.mark.parametrize(("spacing_mm", "cube_voxels", "expected"), [(4.0, 64, 0.96), (2.0, 128, 0.985)])
@pytest.mark.parametrize(
    "grid", [make_grid((140, 135, 130), (1.6, 1.6, 1.6)), make_grid((70, 140, 140), (3, 1.5, 1.5))]
)
def test_spacing_and_cube_come_from_the_manifest(model_set, spacing_mm, cube_voxels, expected, grid):
    spec = model_set.manifest.brain_extraction.model_copy(
        update={"spacing_mm": spacing_mm, "cube_voxels": cube_voxels}
    )
    sphere = Sphere((4, -7, 13), 60)
    mask = NetworkBrainExtraction(spec, BrightIsBrain())(bright_brain(grid, sphere), grid)
    assert dice(mask, distance_mm(grid_points(grid), sphere) < 60) > expected


def test_only_the_largest_piece_is_brain_and_its_holes_belong_to_it(model_set):
    spec = model_set.manifest.brain_extraction
    large, small, hole = Sphere((0, 10, 20), 55), Sphere((0, -55, -60), 12), Sphere((10, 10, 20), 20)
    voxels = bright_brain(GRID, large, small, holes=(hole,))
    mask = NetworkBrainExtraction(spec, BrightIsBrain())(voxels, GRID)
    points = grid_points(GRID)
    assert not mask[distance_mm(points, small) < 20].any()
    assert mask[distance_mm(points, hole) < 20].all()


def test_a_head_without_brain_gets_an_empty_mask(model_set):
    class NothingIsBrain:
        def run(self, images):
            return np.zeros_like(images)

    extraction = NetworkBrainExtraction(model_set.manifest.brain_extraction, NothingIsBrain())
    assert not extraction(bright_brain(GRID, Sphere((0, 0, 0), 60)), GRID).any()


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
