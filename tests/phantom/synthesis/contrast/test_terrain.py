"""The fields that vessels follow agree with the labels they are measured on."""

from __future__ import annotations

import numpy as np
import pytest

from phantom.synthesis.anatomy.label_map import Anatomy
from phantom.synthesis.anatomy.structures import Structure
from phantom.synthesis.contrast.terrain import Terrain, slide, survey


@pytest.fixture(scope="module")
def terrain(template: Anatomy) -> Terrain:
    return survey(template)


def voxels_of(terrain: Terrain, structure: Structure) -> np.ndarray:
    return np.argwhere(terrain.labels_kji == structure).astype(np.float64)


def test_brain_is_under_the_skull_and_bone_is_not(terrain: Terrain) -> None:
    assert np.percentile(terrain.depth(voxels_of(terrain, Structure.WHITE_MATTER)), 1) > 1
    assert np.percentile(terrain.depth(voxels_of(terrain, Structure.CORTICAL_BONE)), 95) < 1


def test_depth_in_a_ball_is_the_distance_to_its_surface(ellipsoid_head: Anatomy) -> None:
    surveyed = survey(ellipsoid_head)
    centre = (np.array(surveyed.shape) - 1) / 2
    depths_mm = np.array([2.0, 5.0, 10.0])
    below_vertex = centre + np.stack(
        [68.0 - depths_mm, np.zeros(3), np.zeros(3)], axis=1
    )  # CSF ends at 68 mm

    assert surveyed.depth(below_vertex) == pytest.approx(depths_mm, abs=1.0)


def test_the_tentorium_separates_cerebellum_from_cerebrum(terrain: Terrain) -> None:
    cerebellum = terrain.tentorium(voxels_of(terrain, Structure.CEREBELLAR_CORTEX))
    cerebrum = terrain.tentorium(voxels_of(terrain, Structure.CORTEX))

    assert (cerebellum > 0).mean() > 0.95
    assert (cerebrum < 0).mean() > 0.98


def test_the_midline_halves_the_brain(terrain: Terrain) -> None:
    left = terrain.midline(voxels_of(terrain, Structure.WHITE_MATTER)) > 0

    assert left.mean() == pytest.approx(0.5, abs=0.03)


def test_points_slide_onto_a_surface(terrain: Terrain) -> None:
    away = terrain.frame.to_index(np.array([[20.0, 80.0, 20.0], [40.0, 0.0, 40.0]]))

    there = slide(away, [(terrain.depth, 3.0)], rounds=20)

    assert terrain.depth(there) == pytest.approx(3.0, abs=0.5)
