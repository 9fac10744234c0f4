"""Filled lesions enclose what their enhancing part encloses, and nothing else."""

from __future__ import annotations

import numpy as np

from worker.filling import fill_lesions


def shell(radius: float, core: float, size: int = 21) -> np.ndarray:
    distance = np.linalg.norm(np.indices((size, size, size)) - size // 2, axis=0)
    return ((distance <= radius) & (distance >= core)).astype(np.uint16)


def test_a_shell_is_filled_to_a_ball() -> None:
    filled = fill_lesions(shell(8, 5))
    np.testing.assert_array_equal(filled, shell(8, 0))


def test_a_core_open_to_one_slice_is_filled_in_all_others() -> None:
    labels = shell(8, 5)
    labels[10, 10, 10:] = 0  # a channel through the rim
    filled = fill_lesions(labels)
    assert not filled[10, 10, 10]
    assert filled[9, 10, 10]
    assert filled[11, 10, 10]


def test_a_lesion_inside_another_one_keeps_its_voxels() -> None:
    labels = shell(8, 5)
    labels[10, 10, 10] = 2
    filled = fill_lesions(labels)
    assert filled[10, 10, 10] == 2
    assert (filled == 2).sum() == 1
    assert filled[10, 10, 11] == 1


def test_a_solid_lesion_stays_what_it_is() -> None:
    np.testing.assert_array_equal(fill_lesions(shell(4, 0)), shell(4, 0))
