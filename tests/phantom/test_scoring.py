import numpy as np
import pytest

from core.errors import InvalidInput
from phantom.lesions import LesionKind, LesionTruth, equivalent_diameter_mm
from phantom.scoring import match, number_components
from phantom.study import PhantomTruth

SHAPE = (12, 30, 30)


def cube(labels: np.ndarray, corner: tuple[int, int, int], edge: int, number: int) -> None:
    k, j, i = corner
    labels[k : k + edge, j : j + edge, i : i + edge] = number


@pytest.fixture
def truth() -> PhantomTruth:
    """Two lesions on a 1 mm grid: 216 mm3 at a corner, 27 mm3 away from it."""
    labels = np.zeros(SHAPE, np.uint16)
    cube(labels, (1, 1, 1), 6, 1)
    cube(labels, (2, 20, 20), 3, 2)
    lesions = tuple(
        LesionTruth(n, LesionKind.SOLID, (0.0, 0.0, 0.0), v, v, equivalent_diameter_mm(v), 0.6)
        for n, v in ((1, 216.0), (2, 27.0))
    )
    return PhantomTruth(lesions, np.eye(4), labels, np.ones(SHAPE, bool))


def test_finding_everything_and_nothing_else_is_perfect(truth):
    score = match(truth, truth.label_map, 1.0)
    assert (score.sensitivity_large, score.sensitivity_small, score.false_positives) == (1.0, 1.0, 0)
    assert score.median_volume_error_large == pytest.approx(0.0)


def test_finding_nothing_misses_everything(truth):
    score = match(truth, np.zeros(SHAPE, int), 1.0)
    assert (score.sensitivity_large, score.sensitivity_small, score.false_positives) == (0.0, 0.0, 0)
    assert score.median_volume_error_large is None


def test_one_overlapping_voxel_is_a_detection_and_the_volume_error_says_how_poor(truth):
    found = np.zeros(SHAPE, int)
    found[6, 6, 6] = 7
    score = match(truth, found, 1.0)
    assert score.lesions[0].detected
    assert score.lesions[0].found_numbers == (7,)
    assert score.lesions[0].relative_volume_error == pytest.approx(1 / 216 - 1)


def test_a_found_lesion_that_touches_no_inserted_one_is_a_false_positive(truth):
    found = truth.label_map.astype(int)
    cube(found, (8, 10, 10), 2, 9)
    assert match(truth, found, 1.0).false_positive_numbers == (9,)


def test_a_found_lesion_over_two_inserted_ones_detects_both(truth):
    found = np.where(truth.label_map > 0, 1, 0)
    score = match(truth, found, 1.0)
    assert [lesion.found_volume_mm3 for lesion in score.lesions] == [243.0, 243.0]
    assert [lesion.overlap_mm3 for lesion in score.lesions] == [216.0, 27.0]


def test_volumes_are_in_mm3(truth):
    assert match(truth, truth.label_map, 2.5).lesions[0].found_volume_mm3 == pytest.approx(540.0)


def test_no_large_lesion_means_no_sensitivity_for_large_ones(truth):
    few = PhantomTruth(truth.lesions[1:], truth.t1_to_t1_post_lps, truth.label_map, truth.brain_mask)
    assert match(few, truth.label_map, 1.0).sensitivity_large is None


def test_components_that_touch_at_a_corner_are_one():
    mask = np.zeros((3, 3, 3), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    assert number_components(mask).max() == 1


def test_another_grid_is_refused(truth):
    with pytest.raises(InvalidInput, match="expected"):
        match(truth, np.zeros((2, 2, 2), int), 1.0)
