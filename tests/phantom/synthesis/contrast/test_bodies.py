"""Bodies have the size they are drawn with and stay in the room they are given."""

from __future__ import annotations

import numpy as np
import pytest

from phantom.synthesis.anatomy.label_map import Anatomy
from phantom.synthesis.anatomy.structures import Structure
from phantom.synthesis.contrast.bodies import paint_body
from phantom.synthesis.contrast.terrain import Terrain, survey


@pytest.fixture(scope="module")
def terrain(ellipsoid_head: Anatomy) -> Terrain:
    return survey(ellipsoid_head)


def test_a_smooth_body_has_the_volume_of_its_ellipsoid(terrain: Terrain) -> None:
    radii_mm = np.array([5.0, 7.0, 6.0])

    _, fraction = paint_body(terrain, np.zeros(3), radii_mm, np.random.default_rng(0), roughness=0)

    voxels_per_mm3 = abs(np.linalg.det(terrain.frame.matrix))
    assert fraction.sum() == pytest.approx(4 / 3 * np.pi * radii_mm.prod() * voxels_per_mm3, rel=0.1)


def test_a_body_keeps_to_its_room(terrain: Terrain) -> None:
    room = frozenset({Structure.LATERAL_VENTRICLE})
    ventricle = terrain.labels_kji == Structure.LATERAL_VENTRICLE
    centre_mm = terrain.frame.to_standard(np.argwhere(ventricle).astype(np.float64)).mean(axis=0)

    box, fraction = paint_body(terrain, centre_mm, np.full(3, 12.0), np.random.default_rng(0), room)

    assert ventricle[box][fraction > 0.9].mean() > 0.9
    assert fraction[~ventricle[box]].sum() < 0.3 * fraction.sum()


def test_a_body_outside_the_picture_is_nothing(terrain: Terrain) -> None:
    _, fraction = paint_body(terrain, np.array([0.0, 500.0, 0.0]), np.full(3, 4.0), np.random.default_rng(0))

    assert fraction.size == 0
