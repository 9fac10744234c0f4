import numpy as np
import pytest

from core.errors import InvalidInput
from phantom.scanner import sample_slices
from phantom.study import PhantomSpec, generate_study, without_t1


def test_the_same_seed_gives_the_same_study_bit_for_bit(small_study):
    again = generate_study(small_study.spec)  # with the head of its seed made anew
    assert again.t1_post.voxels_kji.tobytes() == small_study.t1_post.voxels_kji.tobytes()
    assert again.t1.voxels_kji.tobytes() == small_study.t1.voxels_kji.tobytes()
    assert again.truth.lesions == small_study.truth.lesions


def test_the_label_map_has_the_volumes_of_the_truth(small_study):
    voxel_mm3 = small_study.t1_post.grid.voxel_volume_mm3
    for lesion in small_study.truth.lesions:
        labelled = np.count_nonzero(small_study.truth.label_map == lesion.number) * voxel_mm3
        assert abs(labelled - lesion.volume_mm3) < max(0.25 * lesion.volume_mm3, 4 * voxel_mm3)


def test_every_lesion_is_labelled_within_the_brain(small_study):
    truth = small_study.truth
    assert set(np.unique(truth.label_map)) == {0, *(lesion.number for lesion in truth.lesions)}
    assert truth.brain_mask[truth.label_map > 0].all()


def test_solid_lesions_are_labelled_around_their_centroid(small_study):
    for lesion in small_study.truth.lesions:
        index = np.argwhere(small_study.truth.label_map == lesion.number)
        centre = small_study.t1_post.grid.to_lps_mm(index).mean(axis=0)
        np.testing.assert_allclose(centre, lesion.centroid_lps_mm, atol=1.3)


def test_lesions_enhance_and_the_transform_brings_t1_onto_t1_post(small_study):
    t1, post, truth = small_study.t1, small_study.t1_post, small_study.truth
    to_t1 = np.linalg.inv(truth.t1_to_t1_post_lps)
    moved = sample_slices(t1.voxels_kji, t1.grid, post.grid, to_t1)
    still = sample_slices(t1.voxels_kji, t1.grid, post.grid, np.eye(4))
    brain = truth.brain_mask & (truth.label_map == 0)
    assert np.corrcoef(moved[brain], post.voxels_kji[brain])[0, 1] > 0.8
    assert (
        np.corrcoef(moved[brain], post.voxels_kji[brain])[0, 1]
        > np.corrcoef(still[brain], post.voxels_kji[brain])[0, 1]
    )
    gain = np.median(post.voxels_kji[brain]) / np.median(moved[brain])
    enhancement = post.voxels_kji - gain * moved
    lesion = truth.label_map > 0
    assert np.median(enhancement[lesion]) > 5 * np.median(np.abs(enhancement[brain]))


def test_an_offset_can_be_asked_for(head):
    spec = PhantomSpec(
        seed=1,
        large_lesions=1,
        small_lesions=0,
        spacing_kji_mm=(4, 3, 3),
        rotation_deg=25.0,
        translation_mm=35.0,
    )
    study = generate_study(spec, head)
    rotation = study.truth.t1_to_t1_post_lps[:3, :3]
    assert np.rad2deg(np.arccos((np.trace(rotation) - 1) / 2)) == pytest.approx(25.0)
    outer = np.concatenate([study.t1.voxels_kji[:, 0], study.t1.voxels_kji[:, -1]])
    assert np.median(outer) < 0.1 * np.percentile(
        study.t1.voxels_kji, 99
    )  # the moved head is within the field


def test_t1_may_have_a_grid_of_its_own(head):
    spec = PhantomSpec(
        large_lesions=1,
        small_lesions=0,
        spacing_kji_mm=(3, 2, 2),
        t1_spacing_kji_mm=(5, 3, 3),
        oblique_deg=15.0,
        orientation="coronal",
        with_vessels=False,
    )
    study = generate_study(spec, head)
    np.testing.assert_allclose(study.t1.grid.spacing_kji_mm, (5, 3, 3))
    np.testing.assert_allclose(study.t1_post.grid.spacing_kji_mm, (3, 2, 2))
    assert study.t1_post.grid.directions_lps[1, 0] == pytest.approx(np.cos(np.deg2rad(15)), abs=0.02)


def test_a_study_without_t1_is_the_same_scan_without_it(head):
    spec = PhantomSpec(large_lesions=1, small_lesions=1, spacing_kji_mm=(4, 3, 3))
    full = generate_study(spec, head)
    alone = generate_study(
        PhantomSpec(large_lesions=1, small_lesions=1, spacing_kji_mm=(4, 3, 3), with_t1=False), head
    )
    assert alone.t1 is None is without_t1(full).t1
    np.testing.assert_array_equal(alone.t1_post.voxels_kji, full.t1_post.voxels_kji)


def test_a_study_may_have_no_lesion(head):
    study = generate_study(
        PhantomSpec(large_lesions=0, small_lesions=0, spacing_kji_mm=(4, 3, 3), with_vessels=False), head
    )
    assert study.truth.lesions == ()
    assert not study.truth.label_map.any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"large_lesions": -1}, "-1 large"),
        ({"spacing_kji_mm": (0.1, 1, 1)}, "0.4 to 10 mm"),
        ({"orientation": "upside down"}, "upside down"),
    ],
)
def test_a_specification_that_makes_no_sense_is_refused(wrong, message):
    with pytest.raises(InvalidInput, match=message):
        PhantomSpec(**wrong)
