from __future__ import annotations

import numpy as np
import pytest

from tests.synthetic import AXIAL, CORONAL, NEGATED_COLUMN, SAGITTAL, make_grid
from worker.canonical import canonical_grid

OBLIQUE = (0.96, 0.28, 0.0, -0.168, 0.576, 0.8)


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, CORONAL, NEGATED_COLUMN, OBLIQUE])
def test_the_canonical_grid_keeps_the_field_of_view_and_points_to_superior_posterior_left(orientation):
    source = make_grid((30, 50, 70), (3.0, 1.2, 0.8), orientation, centre_lps_mm=(5, -7, 9))
    grid = canonical_grid(source, 1.0)
    np.testing.assert_allclose(grid.spacing_kji_mm, 1.0)
    nearest = np.abs(grid.directions_lps).argmax(axis=0)
    np.testing.assert_array_equal(nearest, (2, 1, 0))
    assert (np.diag(grid.directions_lps[::-1]) > 0).all()
    assert sorted(grid.shape_kji) == sorted((90, 60, 56))
    middle = [g.to_lps_mm((np.array(g.shape_kji) - 1) / 2) for g in (grid, source)]
    np.testing.assert_allclose(middle[0], middle[1], atol=1e-9)
