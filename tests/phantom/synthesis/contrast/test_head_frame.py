"""Standard millimetres follow a head however it lies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.errors import InvalidInput
from phantom.fields import Points
from phantom.synthesis.anatomy.label_map import Anatomy
from phantom.synthesis.anatomy.structures import Structure
from phantom.synthesis.anatomy.warp import WarpSettings, warp_anatomy
from phantom.synthesis.contrast.head_frame import HeadFrame, fit_head_frame


def centroid_mm(anatomy: Anatomy, structure: Structure, frame: HeadFrame) -> Points:
    index = np.argwhere(anatomy.labels_kji == structure).astype(np.float64)
    return frame.to_standard(index).mean(axis=0)


@pytest.mark.parametrize("seed", range(3))
def test_a_turned_and_mirrored_head_has_its_eyes_where_eyes_are(template: Anatomy, seed: int) -> None:
    head = warp_anatomy(
        template, replace(WarpSettings(), broad_mm=0.0, fine_mm=0.0), np.random.default_rng(seed)
    )

    up, back, left = centroid_mm(head, Structure.EYE, fit_head_frame(head.labels_kji))

    assert up == pytest.approx(-37, abs=9)
    assert back == pytest.approx(-54, abs=9)
    assert left == pytest.approx(0, abs=4)


def test_left_is_towards_growing_i(template: Anatomy) -> None:
    frame = fit_head_frame(template.labels_kji)

    assert np.allclose(frame.axes, np.eye(3), atol=0.15)


def test_indices_and_standard_millimetres_are_each_other_s_inverse(template: Anatomy) -> None:
    frame = fit_head_frame(template.labels_kji)
    index = np.array([[3.0, 50.0, 80.5], [100.0, 0.0, 2.0]])

    assert np.allclose(frame.to_index(frame.to_standard(index)), index)


def test_a_head_without_landmarks_is_refused() -> None:
    labels = np.full((20, 20, 20), Structure.SOFT_TISSUE, dtype=np.uint8)

    with pytest.raises(InvalidInput, match="has none to tell its pose"):
        fit_head_frame(labels)
