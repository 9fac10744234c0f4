from __future__ import annotations

import numpy as np
import pytest

from core.errors import InvalidInput
from evaluation.cohorts.case import label_lesions
from evaluation.scoring.matching import overlap


def row(*labels: int) -> np.ndarray:
    return np.array(labels, dtype=np.uint16).reshape(1, 1, -1)


def test_any_shared_voxel_is_a_detection():
    found = overlap(row(1, 1, 1, 1, 0, 2, 2, 0), row(0, 0, 0, 1, 1, 0, 0, 2))
    assert found.detected.tolist() == [True, False]
    assert found.false_positives.tolist() == [2]
    assert found.lesion_dice(1) == pytest.approx(2 * 1 / (4 + 2))
    assert found.lesion_dice(2) == 0
    assert found.scan_dice() == pytest.approx(2 * 1 / (6 + 3))


def test_one_prediction_over_two_lesions_finds_both_but_only_one_for_itself():
    found = overlap(row(1, 1, 0, 2, 2, 2), row(1, 1, 1, 1, 1, 1))
    assert found.detected.tolist() == [True, True]
    assert found.one_to_one().tolist() == [False, True]  # the larger shares more with it
    assert found.false_positives.size == 0
    assert found.lesion_dice(1) == pytest.approx(2 * 2 / (2 + 6))
    assert found.lesion_dice(2) == pytest.approx(2 * 3 / (3 + 6))


def test_two_predictions_over_one_lesion_are_one_detection_and_no_invention():
    found = overlap(row(1, 1, 1, 1, 1), row(1, 0, 0, 2, 2))
    assert found.detected.tolist() == [True]
    assert found.predictions_of(1).tolist() == [1, 2]
    assert found.lesion_dice(1) == pytest.approx(2 * 3 / (5 + 3))
    assert found.false_positives.size == 0


def test_nothing_found_where_nothing_is_has_no_dice():
    found = overlap(row(0, 0, 0), row(0, 0, 0))
    assert found.detected.size == found.false_positives.size == found.one_to_one().size == 0
    assert found.scan_dice() is None


def test_a_lesion_with_nothing_found_has_dice_nought():
    found = overlap(row(0, 1, 1), row(0, 0, 0))
    assert found.scan_dice() == 0
    assert found.one_to_one().tolist() == [False]


def test_lesions_that_touch_at_a_corner_are_one_reference_lesion():
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[3, 3, 3] = True
    assert label_lesions(mask).max() == 2


def test_label_maps_of_other_shapes_are_refused():
    with pytest.raises(InvalidInput, match=r"shape \(1, 1, 2\), expected \(1, 1, 3\)"):
        overlap(row(0, 0, 0), row(0, 0))
