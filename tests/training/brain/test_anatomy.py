from __future__ import annotations

import numpy as np
import pytest

from phantom.synthesis.anatomy.label_map import Anatomy, brain_mask
from phantom.synthesis.anatomy.structures import Structure
from tests.training.brain.toy_head import CENTRE_KJI, make_toy_anatomy
from training.brain.anatomy import INNER_TABLE, MENINGES, SCALP_FAT, PreparedHead, prepare_head


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return make_toy_anatomy()


@pytest.fixture(scope="module")
def head(anatomy) -> PreparedHead:
    return prepare_head(anatomy)


def test_depth_is_the_distance_to_the_brains_surface_in_half_millimetres(head, anatomy):
    np.testing.assert_array_equal(head.depth_kji <= 0, brain_mask(anatomy.labels_kji))
    k, j, _ = CENTRE_KJI
    assert head.depth_kji[k, j, 0] > 2 * 15
    assert head.depth_kji[k, j, 80] < -2 * 45


def test_layers_replace_only_what_they_are_layers_of(head, anatomy):
    wholes = ((MENINGES, Structure.CSF), (INNER_TABLE, Structure.CORTICAL_BONE), (SCALP_FAT, Structure.SKIN))
    for layer, whole in wholes:
        layered = head.labels_kji == layer
        assert layered.any()
        assert (anatomy.labels_kji[layered] == whole).all()
    assert (head.labels_kji == Structure.SKIN).any()


def test_outlines_reach_as_far_as_head_and_brain(head, anatomy):
    for points, mask in (
        (head.head_points_kji, anatomy.labels_kji != Structure.AIR),
        (head.brain_points_kji, brain_mask(anatomy.labels_kji)),
    ):
        index = np.argwhere(mask)
        assert np.abs(points.min(axis=0) - index.min(axis=0)).max() <= 6
        assert np.abs(points.max(axis=0) - index.max(axis=0)).max() <= 6
