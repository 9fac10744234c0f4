from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.errors import UnsuitableReason, UnsuitableStudy
from core.geometry import Grid
from core.study import AnalysisMode, QualityFlag
from tests.synthetic import (
    AXIAL,
    CORONAL,
    NEGATED_COLUMN,
    SAGITTAL,
    Sphere,
    brain_depth_mm,
    distance_mm,
    grid_points,
    make_grid,
    make_series,
    make_volume,
    rigid,
)
from worker.canonical import canonical_grid
from worker.model_set import InputSpec
from worker.preprocessing import PreparedVolumes, prepare, prepare_volumes
from worker.volumes import SourceImages, Volume

SPEC = InputSpec(
    spacing_mm=2.0,
    axes=("R", "A", "S"),
    subtraction_scaling="median_ratio_in_brain",
    normalisation="z_score_in_brain",
    background_value=0.0,
    brain_dilation_mm=4.0,
)
POST_GRID = make_grid((95, 115, 100), (2.0, 1.9, 1.9))
PRE_GRID = make_grid((95, 115, 100), (2.0, 1.9, 1.9), centre_lps_mm=(1, 2, -1))
LESION = Sphere((30, -20, 30), 8)


def true_brain(head_kji, grid: Grid):
    """A brain extraction that knows the phantom."""
    return brain_depth_mm(grid_points(grid)) > 0


@pytest.fixture(scope="module")
def t1_post() -> Volume:
    return make_volume(POST_GRID, lesions=(LESION,), seed=1)


@pytest.fixture(scope="module")
def t1() -> Volume:
    motion = rigid((2, -3, 4), (3, -2, 4))
    return make_volume(PRE_GRID, enhanced=False, world_to_head=motion, gain=2.0, seed=2)


@pytest.fixture(scope="module")
def prepared(t1_post, t1) -> PreparedVolumes:
    return prepare_volumes(t1_post, t1, true_brain, SPEC)


def expect_unsuitable(reason: UnsuitableReason, *arguments) -> None:
    with pytest.raises(UnsuitableStudy) as caught:
        prepare_volumes(*arguments)
    assert caught.value.reason is reason


@pytest.mark.parametrize("orientation", [SAGITTAL, CORONAL, NEGATED_COLUMN])
def test_the_orientation_of_the_scan_does_not_change_what_the_ensemble_sees(t1_post, orientation):
    shapes = {SAGITTAL: (95, 100, 108), CORONAL: (109, 95, 95), NEGATED_COLUMN: (95, 109, 95)}
    grid = make_grid(shapes[orientation], (2.0, 2.0, 2.0), orientation)
    turned = prepare_volumes(make_volume(grid, noise=0), None, true_brain, SPEC)
    axial = prepare_volumes(make_volume(canonical_grid(grid, 2.0), noise=0), None, true_brain, SPEC)
    assert turned.grid.is_close_to(axial.grid)
    np.testing.assert_allclose(turned.t1_post_kji, axial.t1_post_kji, atol=0.02)


def test_the_input_is_normalised_inside_the_mask_and_zero_outside(prepared):
    for volume in (prepared.t1_post_kji, prepared.subtraction_kji):
        inside = volume[prepared.brain_mask_kji].astype(np.float64)
        assert inside.mean() == pytest.approx(0, abs=1e-4)
        assert inside.std() == pytest.approx(1, abs=1e-4)
        assert not volume[~prepared.brain_mask_kji].any()
        assert volume.dtype == np.float32


def test_the_subtraction_shows_the_lesion_and_not_the_anatomy(prepared):
    points = grid_points(prepared.grid)
    distance = distance_mm(points, LESION)
    lesion = distance <= LESION.radius_mm - 2
    deep = (brain_depth_mm(points) > 12) & (distance > LESION.radius_mm + 3)
    assert prepared.subtraction_kji[lesion].mean() > 3
    contrast = np.corrcoef(prepared.t1_post_kji[deep], prepared.subtraction_kji[deep])[0, 1]
    assert abs(contrast) < 0.5


def test_the_brain_is_dilated_by_the_margin_of_the_model_set(prepared):
    depth = brain_depth_mm(grid_points(prepared.grid))
    assert prepared.brain_mask_kji[depth > -2].all()
    assert not prepared.brain_mask_kji[depth < -7].any()
    assert prepared.brain_volume_mm3 == pytest.approx(4 / 3 * np.pi * 66 * 82 * 62, rel=0.02)


def test_both_series_take_part_without_a_remark(prepared):
    assert prepared.mode is AnalysisMode.FULL
    assert prepared.flags == ()
    assert prepared.registration.succeeded


def test_without_t1_the_study_is_flagged(t1_post):
    prepared = prepare_volumes(t1_post, None, true_brain, SPEC)
    assert prepared.mode is AnalysisMode.T1_POST_ONLY
    assert prepared.flags == (QualityFlag.T1_POST_ONLY,)
    assert prepared.registration is None


def test_a_t1_that_does_not_match_is_left_out_and_flagged(t1_post, t1):
    noise = np.random.default_rng(3).gamma(2.0, 100.0, t1.grid.shape_kji).astype(np.float32)
    unrelated = Volume(noise, t1.grid, t1.frame_of_reference_uid, t1.slices)
    prepared = prepare_volumes(t1_post, unrelated, true_brain, SPEC)
    assert prepared.mode is AnalysisMode.T1_POST_ONLY
    assert QualityFlag.REGISTRATION_FAILED in prepared.flags
    assert not prepared.registration.succeeded


def test_a_t1_that_covers_half_the_brain_is_left_out_and_flagged(t1_post):
    half = make_volume(make_grid((40, 115, 100), (2, 1.9, 1.9), centre_lps_mm=(0, 0, 55)), enhanced=False)
    prepared = prepare_volumes(t1_post, half, true_brain, SPEC)
    assert prepared.subtraction_kji is None
    assert prepared.registration.succeeded
    assert set(prepared.flags) == {QualityFlag.T1_POST_ONLY, QualityFlag.T1_COVERS_PART}


def damaged(datasets):
    datasets[7].PixelData = datasets[7].PixelData[:-2]


def without_frame_of_reference(datasets):
    for dataset in datasets:
        del dataset.FrameOfReferenceUID


def test_a_damaged_t1_is_left_out_and_flagged(t1_post, t1):
    t1_datasets = make_series(t1, "2.25.3002")
    damaged(t1_datasets)
    prepared = prepare(SourceImages(tuple(make_series(t1_post)), tuple(t1_datasets)), true_brain, SPEC)
    assert prepared.mode is AnalysisMode.T1_POST_ONLY
    assert prepared.flags == (QualityFlag.T1_POST_ONLY, QualityFlag.T1_UNUSABLE)


def test_a_t1_whose_brain_is_dark_is_left_out_and_flagged(t1_post, t1):
    negative = replace(t1, voxels_kji=t1.voxels_kji - 2 * t1.voxels_kji.max())
    prepared = prepare_volumes(t1_post, negative, true_brain, SPEC)
    assert prepared.flags == (QualityFlag.T1_POST_ONLY, QualityFlag.T1_UNUSABLE)


def test_t1_needs_no_frame_of_reference_but_t1_post_does(t1_post, t1):
    post, pre = make_series(t1_post), make_series(t1, "2.25.3002")
    without_frame_of_reference(pre)
    assert prepare(SourceImages(tuple(post), tuple(pre)), true_brain, SPEC).mode is AnalysisMode.FULL
    without_frame_of_reference(post)
    with pytest.raises(UnsuitableStudy, match="T1-post series has no FrameOfReferenceUID"):
        prepare(SourceImages(tuple(post), None), true_brain, SPEC)


def test_a_field_of_view_no_head_fills_is_refused():
    wide = make_volume(make_grid((20, 20, 20), (90, 90, 90)))
    with pytest.raises(UnsuitableStudy, match="field of view takes 729000000 voxels of 2 mm"):
        prepare_volumes(wide, None, true_brain, SPEC)


def test_the_same_voxels_twice_are_identical_series(t1_post):
    expect_unsuitable(UnsuitableReason.IDENTICAL_SERIES, t1_post, t1_post, true_brain, SPEC)


def test_two_scans_without_contrast_show_no_enhancement(t1):
    plain = make_volume(POST_GRID, enhanced=False, seed=5)
    expect_unsuitable(UnsuitableReason.NO_ENHANCEMENT, plain, t1, true_brain, SPEC)


def test_swapped_series_show_no_enhancement(t1_post, t1):
    expect_unsuitable(UnsuitableReason.NO_ENHANCEMENT, t1, t1_post, true_brain, SPEC)


def test_vessels_alone_are_enhancement_enough(t1):
    healthy = make_volume(POST_GRID, enhanced=True, seed=6)
    assert prepare_volumes(healthy, t1, true_brain, SPEC).mode is AnalysisMode.FULL


def with_contrast(share: float, seed: int = 6, *, suppress_fat: bool = False) -> Volume:
    """A scan between none (0) and all (1) of the contrast; fat suppression darkens the scalp."""
    plain = make_volume(POST_GRID, enhanced=False, noise=0).voxels_kji
    voxels = plain + share * (make_volume(POST_GRID, noise=0).voxels_kji - plain)
    if suppress_fat:
        voxels = np.where(brain_depth_mm(grid_points(POST_GRID)) < -5, 0.15 * voxels, voxels)
    noisy = voxels + np.random.default_rng(seed).normal(0, 10, voxels.shape)
    return replace(make_volume(POST_GRID, noise=0), voxels_kji=np.abs(noisy).astype(np.float32))


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_weak_contrast_is_contrast(t1, share):
    assert prepare_volumes(with_contrast(share), t1, true_brain, SPEC).mode is AnalysisMode.FULL


@pytest.mark.parametrize(("post_suppressed", "pre_suppressed"), [(True, False), (False, True)])
def test_fat_suppression_in_one_of_the_scans_does_not_end_the_study(post_suppressed, pre_suppressed):
    post = with_contrast(1.0, 6, suppress_fat=post_suppressed)
    pre = with_contrast(0.0, 7, suppress_fat=pre_suppressed)
    prepared = prepare_volumes(post, pre, true_brain, SPEC)
    assert QualityFlag.REGISTRATION_FAILED not in prepared.flags


def no_brain(head_kji, grid: Grid):
    return np.zeros(grid.shape_kji, dtype=bool)


def tiny_brain(head_kji, grid: Grid):
    return brain_depth_mm(grid_points(grid)) > 35


def small_brain(head_kji, grid: Grid):
    return brain_depth_mm(grid_points(grid)) > 20


def test_no_brain_and_wrong_anatomy_are_told_apart(t1_post):
    expect_unsuitable(UnsuitableReason.NO_BRAIN_FOUND, t1_post, None, no_brain, SPEC)
    expect_unsuitable(UnsuitableReason.WRONG_ANATOMY, t1_post, None, tiny_brain, SPEC)


def test_an_implausible_brain_volume_is_flagged(t1_post):
    prepared = prepare_volumes(t1_post, None, small_brain, SPEC)
    assert QualityFlag.IMPLAUSIBLE_BRAIN_VOLUME in prepared.flags


@pytest.mark.parametrize(
    ("orientation", "shape", "centre", "flag"),
    [
        (AXIAL, (25, 110, 90), (0, 0, 30), QualityFlag.BRAIN_TOUCHES_FIRST_SLICE),
        (AXIAL, (25, 110, 90), (0, 0, -20), QualityFlag.BRAIN_TOUCHES_LAST_SLICE),
        # The normal of these sagittal slices points to the right.
        (SAGITTAL, (25, 110, 110), (-20, 0, 0), QualityFlag.BRAIN_TOUCHES_FIRST_SLICE),
        (SAGITTAL, (25, 110, 110), (20, 0, 0), QualityFlag.BRAIN_TOUCHES_LAST_SLICE),
    ],
)
def test_a_brain_cut_off_by_an_end_of_the_stack_is_flagged(orientation, shape, centre, flag):
    grid = make_grid(shape, (4.0, 2.0, 2.0), orientation, centre_lps_mm=centre)
    flags = prepare_volumes(make_volume(grid), None, true_brain, SPEC).flags
    ends = {QualityFlag.BRAIN_TOUCHES_FIRST_SLICE, QualityFlag.BRAIN_TOUCHES_LAST_SLICE}
    assert set(flags) & ends == {flag}
    assert QualityFlag.THICK_SLICES in flags
