from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.brain.toy_head import CENTRE_KJI, make_toy_head
from training.brain.anatomy import PreparedHead
from training.brain.geometry import GeometrySettings, draw_placement

PLAIN = GeometrySettings(
    rotation_deg=0, scale_range=(1.0, 1.0), stretch=0, bend_mm=(0.0, 0.0), placing_error_mm=0,
    top_cut_share=0, low_cut_share=0, neck_mm=(1000.0, 1000.0),
)  # fmt: skip


@pytest.fixture(scope="module")
def head() -> PreparedHead:
    return make_toy_head()


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_head_lies_centred_under_the_top_of_the_cube(head):
    placement = draw_placement(head, PLAIN, rng())
    ends = placement.source_index_kji[:, -1, [0, -1], [0, -1]]
    assert ends[0, 0] == pytest.approx(CENTRE_KJI[0] + 55 + 16 + 12, abs=6)
    assert ends[1].mean() == pytest.approx(CENTRE_KJI[1], abs=6)
    assert ends[2].mean() == pytest.approx(CENTRE_KJI[2], abs=6)


def test_voxels_are_two_millimetres_apart(head):
    source = draw_placement(head, PLAIN, rng()).source_index_kji
    for axis in range(3):
        np.testing.assert_allclose(np.diff(source[axis], axis=axis), 2, atol=1e-3)


def test_an_uncut_head_is_scanned_from_end_to_end(head):
    placement = draw_placement(head, PLAIN, rng())
    assert (placement.first_slice, placement.last_slice) == (0, 127)


def test_a_cut_lies_at_its_height_over_the_brain(head):
    cut = replace(PLAIN, top_cut_share=1, top_cut_mm=(-20.0, -20.0))
    placement = draw_placement(head, cut, rng())
    height = placement.source_index_kji[0, placement.last_slice, 0, 0]
    assert height == pytest.approx(head.brain_points_kji[:, 0].max() - 20, abs=2)
    assert placement.continued_slices == 12
    # The service lays the cube on the continued head.
    assert 127 - placement.last_slice == pytest.approx((24 + 12) / 2, abs=1)


def test_bending_moves_points_by_millimetres(head):
    straight = draw_placement(head, PLAIN, rng()).source_index_kji
    bent = draw_placement(head, replace(PLAIN, bend_mm=(4.0, 1.6)), rng()).source_index_kji
    assert 1 < np.abs(bent - straight).mean() < 6


def test_the_same_seed_places_alike(head):
    settings = GeometrySettings(cube_voxels=32, spacing_mm=8)
    first, again = (draw_placement(head, settings, rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first.source_index_kji, again.source_index_kji)
    other = draw_placement(head, settings, rng(8))
    assert np.abs(first.source_index_kji - other.source_index_kji).max() > 1
