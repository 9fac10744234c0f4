"""Exact Euclidean growing, shrinking and closing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from phantom.synthesis.anatomy.morphology import close, grow, shrink


@pytest.fixture
def specks() -> np.ndarray:
    return np.random.default_rng(1).random((30, 34, 28)) < 0.002


@pytest.mark.parametrize("radius", [0, 1, 2.5, 3, 7, 15])
def test_growing_takes_exactly_the_voxels_within_the_distance(specks: np.ndarray, radius: float) -> None:
    distance = ndimage.distance_transform_edt(~specks)

    np.testing.assert_array_equal(grow(specks, radius), distance <= radius)


def test_shrinking_keeps_what_is_further_than_the_distance_from_the_outside() -> None:
    mask = np.zeros((20, 20, 20), dtype=bool)
    mask[4:16, 4:16, 4:16] = True

    np.testing.assert_array_equal(shrink(mask, 2), ndimage.distance_transform_edt(mask) > 2)


def test_closing_fills_a_cleft_narrower_than_the_ball_and_leaves_a_wider_one() -> None:
    mask = np.ones((40, 40, 40), dtype=bool)
    mask[:, :, 10:14] = False
    mask[:, :, 24:34] = False
    mask = np.pad(mask, 6)

    closed = close(mask, 3)

    assert closed[26, 26, 16:20].all()
    assert not closed[26, 26, 34:36].any()


def test_an_empty_mask_stays_empty() -> None:
    assert not grow(np.zeros((5, 5, 5), dtype=bool), 3).any()


@pytest.mark.parametrize("radius", [-1, 16])
def test_a_radius_beyond_one_byte_is_refused(specks: np.ndarray, radius: float) -> None:
    with pytest.raises(ValueError, match=str(radius)):
        grow(specks, radius)
