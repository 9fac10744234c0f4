from __future__ import annotations

import numpy as np
import pytest

from evaluation.scoring.brats import PENALTY_MM, score_lesion_wise

SPACING = (1.0, 1.0, 1.0)


def scan(**cubes: tuple[int, int]) -> np.ndarray:
    """Cubes along a diagonal: name_label=(first voxel, edge)."""
    labels = np.zeros((40, 40, 40), dtype=np.uint16)
    for number, (first, edge) in enumerate(cubes.values(), start=1):
        labels[(slice(first, first + edge),) * 3] = number
    return labels


def test_a_perfect_scan_scores_one():
    score = score_lesion_wise(scan(a=(3, 4), b=(20, 3)), scan(a=(3, 4), b=(20, 3)), SPACING)
    assert (score.dice, score.hd95_mm) == (1, 0)


def test_a_miss_and_an_invention_score_nought_and_the_penalty():
    score = score_lesion_wise(scan(a=(3, 4), b=(20, 3)), scan(a=(3, 4), c=(30, 3)), SPACING)
    assert score.dice == pytest.approx(1 / 3)
    assert score.hd95_mm == pytest.approx(2 * PENALTY_MM / 3)


def test_fragments_two_voxels_apart_are_one_lesion():
    reference = np.zeros((10, 10, 20), dtype=np.uint16)
    reference[4:6, 4:6, 3:6] = 1
    reference[4:6, 4:6, 8:11] = 2
    prediction = np.where(reference == 1, 1, 0).astype(np.uint16)
    score = score_lesion_wise(reference, prediction, SPACING)
    assert score.dice == pytest.approx(2 * 12 / (24 + 12))


def test_lesions_of_two_voxels_count_for_nobody():
    reference = scan(a=(3, 4))
    reference[30, 30, 30:32] = 2
    assert score_lesion_wise(reference, scan(a=(3, 4)), SPACING).dice == 1
    found = scan(a=(3, 4))
    found[30, 30, 30:32] = 2
    assert score_lesion_wise(reference, found, SPACING).dice == 1


def test_an_empty_scan_with_nothing_found_has_no_score():
    score = score_lesion_wise(scan(), scan(), SPACING)
    assert (score.dice, score.hd95_mm) == (None, None)


def test_an_empty_scan_with_an_invention_scores_nought():
    assert score_lesion_wise(scan(), scan(a=(3, 4)), SPACING).dice == 0
