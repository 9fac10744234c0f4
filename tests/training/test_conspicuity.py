"""A lesion's conspicuity is its contrast over the noise around it."""

from __future__ import annotations

import numpy as np
import pytest

from training.conspicuity import lesion_conspicuity

SHAPE = (40, 44, 48)
EVERYWHERE = np.ones(SHAPE, dtype=bool)


def distance_from(centre: tuple[int, int, int]) -> np.ndarray:
    offsets = np.indices(SHAPE) - np.array(centre)[:, None, None, None]
    return np.sqrt((offsets**2).sum(axis=0))


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)


def ball_labels(radius: float, number: int = 1) -> np.ndarray:
    return np.where(distance_from((20, 22, 24)) < radius, number, 0).astype(np.uint16)


@pytest.mark.parametrize("contrast", [-2.0, 0.5, 4.0])
def test_it_is_the_contrast_in_standard_deviations_of_the_surroundings(contrast: float) -> None:
    labels = ball_labels(4.5)
    image = 7 + 0.3 * (noise() + contrast * (labels > 0))

    assert lesion_conspicuity(image, labels, EVERYWHERE)[1] == pytest.approx(contrast, abs=0.25)


def test_a_vessel_beside_a_lesion_hardly_matters() -> None:
    labels = ball_labels(4.5)
    image = noise() + 4 * (labels > 0)
    image[:, 29:31, 24:26] += 10

    assert lesion_conspicuity(image, labels, EVERYWHERE)[1] == pytest.approx(4, abs=0.7)


def test_the_core_of_a_ring_is_no_surroundings() -> None:
    distance = distance_from((20, 22, 24))
    labels = ((distance < 9) & (distance >= 7)).astype(np.uint16)
    image = noise() + 4 * (labels > 0) - 20 * (distance < 7)

    assert lesion_conspicuity(image, labels, EVERYWHERE)[1] == pytest.approx(4, abs=0.4)


def test_other_lesions_and_what_lies_outside_the_mask_are_no_surroundings() -> None:
    labels = ball_labels(3.5, number=3)
    labels[:, :, 30:] = 5
    mask = np.indices(SHAPE)[1] < 27
    image = noise() + 4 * (labels == 3) + 50 * (labels == 5) - 50 * ~mask

    found = lesion_conspicuity(image, labels, mask)

    assert set(found) == {3, 5}
    assert found[3] == pytest.approx(4, abs=0.5)


def test_a_lesion_without_surroundings_is_compared_with_the_brain() -> None:
    labels = ball_labels(3.5)
    near = distance_from((20, 22, 24)) < 9
    image = noise() + 4 * (labels > 0)

    found = lesion_conspicuity(image, labels, ~near | (labels > 0))

    assert found[1] == pytest.approx(4, abs=0.4)


def test_a_study_without_lesions_has_none() -> None:
    assert lesion_conspicuity(noise(), np.zeros(SHAPE, np.uint16), EVERYWHERE) == {}
