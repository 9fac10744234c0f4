from __future__ import annotations

import numpy as np
import pytest

from core.errors import InvalidInput
from evaluation.scoring.surfaces import measure_surface_distance


def line(first: int, last: int, axis: int) -> np.ndarray:
    mask = np.zeros((12, 12, 12), dtype=bool)
    index = [5, 5, 5]
    index[axis] = slice(first, last + 1)
    mask[tuple(index)] = True
    return mask


def test_equal_masks_are_no_distance_apart():
    distance = measure_surface_distance(line(2, 6, 0), line(2, 6, 0), (1, 1, 1))
    assert (distance.prediction_to_reference_mm, distance.symmetric_mm) == (0, 0)


def test_a_prediction_inside_the_reference_is_near_it_but_not_the_other_way():
    # Every predicted voxel lies on the reference; reference voxels lie 0, 1, 2, .. 9 mm away.
    distance = measure_surface_distance(line(1, 1, 2), line(1, 10, 2), (1, 1, 1))
    assert distance.prediction_to_reference_mm == 0
    assert distance.reference_to_prediction_mm == pytest.approx(np.percentile(range(10), 95))
    assert distance.symmetric_mm == distance.reference_to_prediction_mm


@pytest.mark.parametrize(("axis", "spacing_mm"), [(0, 3.0), (1, 0.7), (2, 0.5)])
def test_distances_are_in_mm_along_each_axis(axis, spacing_mm):
    distance = measure_surface_distance(line(2, 2, axis), line(6, 6, axis), (3.0, 0.7, 0.5))
    assert distance.prediction_to_reference_mm == pytest.approx(4 * spacing_mm)


def test_only_the_surface_counts():
    solid = np.zeros((9, 9, 9), dtype=bool)
    solid[1:8, 1:8, 1:8] = True
    hollow = solid.copy()
    hollow[3:6, 3:6, 3:6] = False
    assert measure_surface_distance(solid, hollow, (1, 1, 1)).prediction_to_reference_mm == 0
    assert measure_surface_distance(hollow, solid, (1, 1, 1)).prediction_to_reference_mm > 0


def test_there_is_no_distance_to_nothing():
    with pytest.raises(InvalidInput, match="expected two masks"):
        measure_surface_distance(line(1, 2, 0), np.zeros((12, 12, 12), dtype=bool), (1, 1, 1))
