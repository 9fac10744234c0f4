from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from core.geometry import Grid
from phantom.scanner import rigid_matrix
from phantom.synthesis.anatomy.label_map import Anatomy, canonical_grid
from phantom.synthesis.anatomy.structures import Structure
from phantom.synthesis.lesions.metastases import (
    Metastasis,
    MetastasisLocation,
    MetastasisSettings,
    MetastasisSignals,
)
from phantom.synthesis.lesions.painting import paint_metastases, paint_oedema
from phantom.synthesis.lesions.raster import rasterise_body
from phantom.synthesis.lesions.shape import MetastasisKind, draw_body

SHARP = MetastasisSignals(
    wall_t1=0.6,
    wall_t1_post=1.6,
    core_t1=0.3,
    core_t1_post=0.35,
    t1_ms=1300.0,
    texture=0.0,
    texture_fwhm_mm=2.0,
    centre_dip=0.0,
    soft_sigma_mm=0.0,
    seed=11,
)
RINGS = MetastasisSettings(ring_shares=((0.0, 1.0),))
SOLID = MetastasisSettings(ring_shares=())


class TwoTissues:
    """Oedema is dark before and after contrast."""

    def signals(self, t1_ms, gd_mmol_l, proton_density=1.0):
        return 0.7, 0.72


def lesion_of(diameter_mm, seed=0, settings=SOLID, centre=(0.0, 0.0, 0.0), number=1, **changes) -> Metastasis:
    body = draw_body(np.pi / 6 * diameter_mm**3, settings, np.random.default_rng(seed)).at(np.array(centre))
    volume, filled = body.volumes_mm3()
    lesion = Metastasis(
        number=number,
        body=body,
        core_share=body.core.share if body.core else 0.0,
        centroid_lps_mm=tuple(body.star.centre_lps_mm + body.enhancing_centroid_offset_mm()),
        volume_mm3=volume,
        filled_volume_mm3=filled,
        equivalent_diameter_mm=diameter_mm,
        kind=body.kind,
        location=MetastasisLocation.JUNCTION,
        redrawn=False,
        concentration_mmol_l=0.3,
        oedema_mm=0.0,
        oedema_t1_ms=1200.0,
        signals=SHARP,
    )
    return replace(lesion, **changes)


def grid_around(reach_mm, spacing_kji_mm=(1.0, 1.0, 1.0)) -> Grid:
    spacing = np.array(spacing_kji_mm)
    half = np.ceil(reach_mm / spacing) + 3
    affine = np.diag([*spacing, 1.0])[[2, 1, 0, 3]]
    affine[:3, 3] = -(half * spacing)[::-1]
    return Grid(tuple(int(2 * n + 1) for n in half), affine)


def paint(lesions, grid, **options):
    t1, post = np.ones(grid.shape_kji, np.float32), np.ones(grid.shape_kji, np.float32)
    return t1, post, paint_metastases(t1, post, grid, lesions, **options)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("settings", [SOLID, RINGS], ids=["solid", "ring"])
def test_the_volume_and_centroid_stated_are_those_painted(seed, settings):
    diameter_mm = np.random.default_rng(seed).uniform(6, 20)
    lesion = lesion_of(diameter_mm, seed, replace(settings, lobed_share=0.5))
    grid = grid_around(lesion.body.reach_mm, (0.5, 0.5, 0.5))
    fractions = rasterise_body(lesion.body, grid)
    assert lesion.volume_mm3 == pytest.approx(np.pi / 6 * diameter_mm**3, rel=1e-3)
    assert fractions.enhancing.sum() / 8 == pytest.approx(lesion.volume_mm3, rel=0.02)
    filled = (fractions.enhancing + fractions.core).sum() / 8
    assert filled == pytest.approx(lesion.filled_volume_mm3, rel=0.02)
    centroid = fractions.enhancing.ravel() @ fractions.points_mm / fractions.enhancing.sum()
    np.testing.assert_allclose(centroid, lesion.centroid_lps_mm, atol=0.1)


def test_every_kind_of_ring_is_drawn():
    rng = np.random.default_rng(3)
    kinds = {draw_body(3000.0, RINGS, rng).kind for _ in range(60)}
    assert kinds == set(MetastasisKind) - {MetastasisKind.SOLID}


def test_a_wall_is_nowhere_thinner_than_its_least_thickness():
    closed = replace(
        RINGS, open_ring_share=0.0, septate_share=0.0, rim_mm=(1.2, 1.2), core_share=(0.85, 0.85)
    )
    for seed in range(5):
        body = lesion_of(12, seed, closed).body
        rays = body.rays(np.random.default_rng(seed).standard_normal((500, 3)))
        assert (rays.radius_mm - rays.core_to_mm).min() > 1.199


def test_a_ring_is_bright_around_a_dark_core_and_only_the_wall_is_labelled():
    closed = replace(RINGS, open_ring_share=0.0, septate_share=0.0, lobed_share=0.0)
    lesion = lesion_of(16, 2, closed)
    t1, post, labels = paint([lesion], grid_around(lesion.body.reach_mm))
    centre = tuple(n // 2 for n in post.shape)
    assert post[centre] == pytest.approx(0.35, abs=0.01)
    assert t1[centre] == pytest.approx(0.3, abs=0.01)
    assert labels[centre] == 0
    assert post[labels == 1].mean() > 1.25
    assert (labels == 1).sum() == pytest.approx(lesion.volume_mm3, rel=0.1)


def test_a_lesion_adds_its_volume_times_its_contrast():
    lesion = lesion_of(9)
    _, post, _ = paint([lesion], grid_around(lesion.body.reach_mm))
    assert (post - 1).sum() == pytest.approx(0.6 * lesion.volume_mm3, rel=0.02)


def test_thick_oblique_slices_hold_as_much_lesion():
    lesion = lesion_of(12, 4)
    grid = grid_around(2 * lesion.body.reach_mm, (1.5, 0.7, 0.7))
    matrix = rigid_matrix(25.0, 4.0, np.zeros(3), np.random.default_rng(1))
    _, post, labels = paint([lesion], grid, to_head_lps=matrix)
    assert (post - 1).sum() * grid.voxel_volume_mm3 == pytest.approx(0.6 * lesion.volume_mm3, rel=0.02)
    index = np.argwhere(labels == 1).mean(axis=0)
    there = matrix[:3, :3] @ grid.to_lps_mm(index) + matrix[:3, 3]
    np.testing.assert_allclose(there, lesion.centroid_lps_mm, atol=0.3)


def test_a_moved_patients_lesion_looks_the_same():
    lesion = lesion_of(12, 4, RINGS, signals=replace(SHARP, texture=0.3, soft_sigma_mm=0.6))
    grid = grid_around(lesion.body.reach_mm)
    matrix = rigid_matrix(20.0, 30.0, np.zeros(3), np.random.default_rng(2))
    moved = Grid(grid.shape_kji, np.linalg.inv(matrix) @ grid.affine_kji_to_lps_mm)
    for still, there in zip(paint([lesion], grid), paint([lesion], moved, to_head_lps=matrix), strict=True):
        assert (np.abs(still.astype(float) - there) > 0.05).mean() < 1e-3


def test_t1_and_t1_post_painted_apart_are_those_painted_together():
    lesion = lesion_of(10, 5, signals=replace(SHARP, texture=0.3))
    grid = grid_around(lesion.body.reach_mm)
    t1, post, labels = paint([lesion], grid)
    t1_alone, post_alone = np.ones_like(t1), np.ones_like(post)
    np.testing.assert_array_equal(paint_metastases(t1_alone, None, grid, [lesion]), labels)
    np.testing.assert_array_equal(paint_metastases(None, post_alone, grid, [lesion]), labels)
    np.testing.assert_array_equal(t1_alone, t1)
    np.testing.assert_array_equal(post_alone, post)


def test_a_texture_is_the_same_field_on_any_grid():
    lesion = lesion_of(16, 6, signals=replace(SHARP, texture=0.3, texture_fwhm_mm=3.0))
    fine = grid_around(17, (0.5, 0.5, 0.5))
    affine = fine.affine_kji_to_lps_mm.copy()
    affine[:3, :3] *= 2
    affine[:3, 3] += 0.25
    coarse = Grid(tuple(n // 2 for n in fine.shape_kji), affine)
    (_, detailed, _), (_, post, labels) = paint([lesion], fine), paint([lesion], coarse)
    averaged = detailed[tuple(slice(0, 2 * n) for n in coarse.shape_kji)]
    averaged = averaged.reshape([m for n in coarse.shape_kji for m in (n, 2)]).mean(axis=(1, 3, 5))
    inside = ndimage.binary_erosion(labels == 1, iterations=2)
    assert np.corrcoef(averaged[inside], post[inside])[0, 1] > 0.99
    assert post[inside].std() > 0.1


def test_a_solid_lesions_centre_may_enhance_less():
    lesion = lesion_of(14, 1, signals=replace(SHARP, centre_dip=0.4))
    _, post, _ = paint([lesion], grid_around(lesion.body.reach_mm))
    assert post[tuple(n // 2 for n in post.shape)] == pytest.approx(1.2, abs=0.02)


def test_a_soft_lesion_fades_into_its_surroundings_and_keeps_its_label():
    sharp = lesion_of(8, 7)
    soft = replace(sharp, signals=replace(SHARP, soft_sigma_mm=0.8))
    grid = grid_around(sharp.body.reach_mm + 3)
    (_, crisp, labels), (_, blurred, same) = paint([sharp], grid), paint([soft], grid)
    np.testing.assert_array_equal(labels, same)
    assert (blurred > 1.001).sum() > 1.3 * (crisp > 1.001).sum()
    assert (blurred - 1).sum() == pytest.approx((crisp - 1).sum(), rel=0.01)


@pytest.mark.parametrize("spacing_kji_mm", [(1.0, 1.0, 1.0), (5.0, 0.8, 0.8), (3.0, 1.5, 1.5)])
def test_the_smallest_lesion_keeps_a_voxel(spacing_kji_mm):
    rng = np.random.default_rng(8)
    for seed in range(20):
        lesion = lesion_of(2.0, seed, centre=rng.uniform(-2, 2, 3))
        _, _, labels = paint([lesion], grid_around(5, spacing_kji_mm))
        assert (labels == 1).any()


def test_at_1_mm_the_smallest_lesion_keeps_three_voxels():
    for seed in range(20):
        lesion = lesion_of(2.0, seed, centre=np.random.default_rng(seed).uniform(-1, 1, 3))
        _, _, labels = paint([lesion], grid_around(3))
        assert (labels == 1).sum() >= 3


def test_a_voxel_belongs_to_the_lesion_that_fills_more_of_it():
    left, right = (lesion_of(6, 1, centre=(x, 0.0, 0.0), number=n) for n, x in ((1, -2.5), (2, 2.5)))
    grid = grid_around(8)
    labels = [paint_metastases(None, None, grid, pair) for pair in ([left, right], [right, left])]
    assert set(np.unique(labels[0])) == {0, 1, 2}
    differ = rasterise_whole(left, grid) - rasterise_whole(right, grid)
    both = (labels[0] > 0) & (np.abs(differ) > 1e-3)
    np.testing.assert_array_equal(labels[0][both], np.where(differ[both] > 0, 1, 2))
    np.testing.assert_array_equal(labels[1][both], labels[0][both])


def rasterise_whole(lesion, grid):
    whole = np.zeros(grid.shape_kji)
    fractions = rasterise_body(lesion.body, grid)
    whole[fractions.box] = fractions.enhancing
    return whole


def test_a_lesion_cut_off_by_the_grids_edge_is_painted_as_far_as_it_goes():
    lesion = lesion_of(10, 1)
    whole = grid_around(lesion.body.reach_mm)
    half = Grid((whole.shape_kji[0] // 2, *whole.shape_kji[1:]), whole.affine_kji_to_lps_mm)
    _, post, _ = paint([lesion], whole)
    _, lower, _ = paint([lesion], half)
    np.testing.assert_allclose(lower, post[: half.shape_kji[0]], atol=1e-5)


def test_a_lesion_outside_the_grid_leaves_no_trace():
    t1, post, labels = paint([lesion_of(10, centre=(400.0, 0.0, 0.0))], grid_around(10))
    assert (t1 == 1).all()
    assert (post == 1).all()
    assert not labels.any()


@pytest.fixture(scope="module")
def slab() -> Anatomy:
    """White matter between cortex: 24 mm of it along k."""
    labels = np.full((60, 90, 90), Structure.CORTEX, np.uint8)
    labels[18:42] = Structure.WHITE_MATTER
    return Anatomy("slab", labels, canonical_grid(labels.shape, np.array([-45.0, -45.0, -30.0])))


def with_oedema(slab, oedema_mm, seed=0):
    t1, post = (np.ones(slab.labels_kji.shape, np.float32) for _ in range(2))
    lesion = lesion_of(8, oedema_mm=oedema_mm)
    paint_oedema(t1, post, slab, [lesion], TwoTissues(), np.random.default_rng(seed))
    return t1, post


def test_oedema_darkens_white_matter_alone_before_and_after_contrast(slab):
    cortex = slab.labels_kji == Structure.CORTEX
    for volume in with_oedema(slab, 12.0):
        assert (volume[ndimage.binary_erosion(cortex, iterations=2)] == 1).all()
        assert volume.min() < 0.9
        assert volume.min() >= 0.7 - 1e-6


def test_oedema_fades_with_the_distance_from_the_lesion(slab):
    points = slab.grid.to_lps_mm(np.stack(np.indices(slab.labels_kji.shape), axis=-1))
    distance = np.linalg.norm(points, axis=-1)
    white = slab.labels_kji == Structure.WHITE_MATTER
    t1, _ = with_oedema(slab, 12.0)
    near, middle, far = (
        1 - t1[white & (distance >= low) & (distance < high)].mean()
        for low, high in ((4, 8), (12, 20), (36, 45))
    )
    assert near > middle > 0
    assert far == pytest.approx(0, abs=1e-3)


def test_oedema_does_not_cross_the_cortex(slab):
    labels = slab.labels_kji.copy()
    labels[:, :, 55:58] = Structure.CORTEX
    t1, _ = with_oedema(Anatomy("walled", labels, slab.grid), 20.0)
    assert t1[:, :, :55].min() < 0.9
    assert t1[:, :, 58:].min() > 0.97


def test_a_lesion_without_oedema_darkens_nothing(slab):
    assert all((volume == 1).all() for volume in with_oedema(slab, 0.0))


def test_oedema_brightens_nothing(slab):
    class BrightFluid:
        """Under a contrast that follows no sequence, oedema may be brighter than white matter."""

        def signals(self, t1_ms, gd_mmol_l, proton_density=1.0):
            return 1.3, 1.2

    t1, post = (np.ones(slab.labels_kji.shape, np.float32) for _ in range(2))
    paint_oedema(t1, post, slab, [lesion_of(8, oedema_mm=10.0)], BrightFluid(), np.random.default_rng(0))
    assert t1.max() == t1.min() == post.max() == post.min() == 1


def test_oedema_has_partial_volume_at_the_cortex(slab):
    t1, _ = with_oedema(slab, 12.0)
    beside_lesion = t1[14:20, 40:50, 40:50].mean(axis=(1, 2))
    assert (np.diff(beside_lesion) <= 1e-6).all()
    assert beside_lesion[3] < 0.99
    assert np.abs(np.diff(beside_lesion)).max() < 0.8 * np.ptp(beside_lesion)


def test_what_is_brighter_than_white_matter_stays_so_within_oedema(slab):
    t1, post = (np.full(slab.labels_kji.shape, 2.0, np.float32) for _ in range(2))
    paint_oedema(t1, post, slab, [lesion_of(8, oedema_mm=10.0)], TwoTissues(), np.random.default_rng(0))
    assert t1.min() >= 1.4 - 1e-6
