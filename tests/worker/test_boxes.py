from __future__ import annotations

import numpy as np

from worker.boxes import Box, bounding_box, crop, paste


def test_the_bounding_box_is_the_smallest_around_a_mask():
    mask = np.zeros((6, 7, 8), dtype=bool)
    mask[2, 3, 4] = mask[4, 3, 6] = True
    assert bounding_box(mask) == Box((2, 3, 4), (3, 1, 3))


def test_a_crop_beyond_the_volume_is_padded_with_zeros():
    cut = crop(np.ones((3, 3)), Box((-1, 2), (3, 3)))
    np.testing.assert_array_equal(cut, [[0, 0, 0], [1, 0, 0], [1, 0, 0]])


def test_pasting_a_crop_restores_what_the_box_held():
    volume = np.arange(20).reshape(4, 5)
    box = Box((1, -2), (9, 5))
    restored = paste(crop(volume, box), box, volume.shape)
    np.testing.assert_array_equal(restored[1:, :3], volume[1:, :3])
    assert not restored[0].any()
    assert not restored[:, 3:].any()
