from __future__ import annotations

import numpy as np
import pytest

from evaluation.sweep.curves import is_reached, read_curve

FP, FOUND = np.array([[4.0, 2.0, 1.0]]), np.array([[0.9, 0.7, 0.5]])


@pytest.mark.parametrize(("level", "expected"), [(1, 0.5), (1.5, 0.6), (3, 0.8), (8, 0.9)])
def test_a_curve_is_read_between_its_points_and_level_beyond_its_last(level, expected):
    assert read_curve(FP, FOUND, level)[0] == pytest.approx(expected)
    assert read_curve(FP, FOUND, level, at_fewest=True)[0] == pytest.approx(expected)
    assert is_reached(FP, FOUND, level)


def test_below_its_fewest_a_curve_has_at_least_the_line_to_the_origin_and_at_most_what_it_has_there():
    assert read_curve(FP, FOUND, 0.5)[0] == pytest.approx(0.25)
    assert read_curve(FP, FOUND, 0.5, at_fewest=True)[0] == pytest.approx(0.5)
    assert not is_reached(FP, FOUND, 0.5)


def test_a_threshold_above_everything_is_no_point_of_a_curve():
    # Outputs end at 0.97: with thresholds above it, neither lesion nor invention is left.
    fp, found = np.array([[4.0, 3.0, 0.0, 0.0]]), np.array([[0.9, 0.79, 0.0, 0.0]])
    assert read_curve(fp, found, 0.46, at_fewest=True)[0] == pytest.approx(0.79)
    assert not is_reached(fp, found, 0.46)


def test_a_curve_without_inventions_is_reached_everywhere():
    fp, found = np.zeros((1, 3)), np.array([[0.6, 0.4, 0.2]])
    assert read_curve(fp, found, 0.0)[0] == pytest.approx(0.6)
    assert is_reached(fp, found, 0.0)


def test_a_curve_that_falls_is_read_at_its_best_so_far():
    # The second threshold splits a blob in two: more inventions and no more found.
    assert read_curve(np.array([[2.0, 3.0, 1.0]]), np.array([[0.8, 0.4, 0.6]]), 3.0)[0] == pytest.approx(0.8)
