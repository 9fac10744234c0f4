from __future__ import annotations

import numpy as np
import pytest

from worker.axes import from_axes, to_axes


@pytest.mark.parametrize("axes", [("R", "A", "S"), ("S", "P", "L"), ("A", "I", "R")])
def test_turning_there_and_back_changes_nothing(axes):
    voxels = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(from_axes(to_axes(voxels, axes), axes), voxels)


def test_axes_are_named_by_the_direction_in_which_they_increase():
    voxels_kji = np.arange(24).reshape(2, 3, 4)
    ras = to_axes(voxels_kji, ("R", "A", "S"))
    assert ras.shape == (4, 3, 2)
    # Leftmost, most posterior, lowest: the last column and row of the first slice.
    assert ras[0, 0, 0] == voxels_kji[0, 2, 3]
    assert ras[3, 2, 1] == voxels_kji[1, 0, 0]
