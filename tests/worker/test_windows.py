from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from worker.windows import plan_windows


@pytest.mark.parametrize(
    ("length", "expected_starts"),
    [(40, [-28]), (96, [0]), (97, [-32, 32]), (160, [0, 64]), (170, [-27, 37, 101])],
)
def test_windows_are_centred_on_the_brain(length: int, expected_starts: Sequence[int]):
    mask = np.zeros((260, 4, 4), dtype=bool)
    mask[50 : 50 + length, 1, 1] = True
    plan = plan_windows(mask, (96, 4, 4), (64, 4, 4))
    starts = sorted({plan.box.origin[0] + window[0].start - 50 for window in plan.windows})
    assert starts == expected_starts


def test_windows_cover_every_voxel_of_the_brain():
    mask = np.random.default_rng(0).random((40, 50, 60)) > 0.99
    plan = plan_windows(mask, (16, 16, 16), (8, 8, 8))
    covered = np.zeros(plan.box.extent, dtype=bool)
    for window in plan.windows:
        covered[window] = True
    for voxel in np.argwhere(mask):
        assert covered[tuple(voxel - plan.box.origin)]


def test_a_window_without_brain_is_left_out():
    mask = np.zeros((4, 160, 160), dtype=bool)
    mask[:, :, :30] = True
    mask[:, :30, :] = True
    assert len(plan_windows(mask, (4, 96, 96), (4, 64, 64)).windows) == 3
