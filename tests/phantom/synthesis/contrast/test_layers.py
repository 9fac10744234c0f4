"""Layers are put together without losing what is in them, and blood is one pool."""

from __future__ import annotations

import numpy as np
import pytest

from phantom.synthesis.anatomy.structures import Enhancing
from phantom.synthesis.contrast.layers import ContrastSettings, Uptake, join, scatter
from phantom.synthesis.signals.rendering import SignalSettings, draw_signal_model


def test_scattered_fractions_lie_where_their_voxels_are() -> None:
    voxels = np.array([[3, 4, 5], [3, 6, 5], [9, 9, 9]])

    box, field = scatter(voxels, np.array([0.5, 1.0, 0.0]), (10, 10, 10))

    assert box == (slice(3, 4), slice(4, 7), slice(5, 6))
    assert field.ravel().tolist() == [0.5, 0.0, 1.0]


def test_voxels_outside_the_head_are_refused() -> None:
    with pytest.raises(ValueError, match="not all within"):
        scatter(np.array([[3, 4, 12]]), np.array([1.0]), (10, 10, 10))


def test_joined_boxes_keep_the_greater_fraction() -> None:
    one = (slice(0, 2), slice(0, 2), slice(0, 2)), np.full((2, 2, 2), 0.4, dtype=np.float32)
    other = (slice(1, 3), slice(1, 3), slice(1, 3)), np.full((2, 2, 2), 0.7, dtype=np.float32)

    box, fraction = join([one, other])

    assert box == (slice(0, 3),) * 3
    assert fraction[0, 0, 0] == pytest.approx(0.4)
    assert fraction[1, 1, 1] == pytest.approx(0.7)
    assert fraction[2, 0, 0] == 0


def test_blood_is_nearly_as_bright_in_veins_as_in_sinuses() -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        uptake = Uptake(
            draw_signal_model(SignalSettings(random_ordered_share=1), rng), ContrastSettings(), rng
        )
        vein, sinus = uptake.blood(Enhancing.VEIN), uptake.blood(Enhancing.SINUS)

        assert vein[1] == pytest.approx(sinus[1], rel=0.25)
