"""Tubes have the volume they should, and walks keep to the CSF."""

from __future__ import annotations

import numpy as np
import pytest

from phantom.synthesis.anatomy.label_map import Anatomy
from phantom.synthesis.anatomy.structures import Structure
from phantom.synthesis.contrast.terrain import survey
from phantom.synthesis.contrast.tubes import Tube, Walkers, densify, lay_tube, paint, random_directions, walk
from phantom.synthesis.contrast.vessels import pick


@pytest.mark.parametrize("radius_mm", [0.6, 1.0, 2.5])
def test_a_straight_tube_has_the_volume_of_a_cylinder(radius_mm: float) -> None:
    rng = np.random.default_rng(0)
    tube = lay_tube(np.array([[20.0, 20.0, 10.0], [20.0, 20.0, 70.0]]), radius_mm, rng, irregularity=0)

    box, fraction = paint([tube], (40, 40, 80))

    assert fraction.shape == tuple(s.stop - s.start for s in box)
    assert fraction.sum() == pytest.approx(60 * np.pi * radius_mm**2, rel=0.25)


def test_a_tube_that_leaves_the_head_is_cut_off() -> None:
    tube = Tube(np.array([[5.0, 5.0, x] for x in np.arange(-20.0, 40, 0.5)]), np.ones(120))

    box, fraction = paint([tube], (10, 10, 12))

    assert box[2] == slice(0, 12)
    assert fraction[:, :, 0].max() > 0.5


def test_no_tubes_fill_nothing() -> None:
    box, fraction = paint([], (10, 10, 10))

    assert fraction.size == 0
    assert np.zeros((10, 10, 10))[box].shape == fraction.shape


def test_a_path_is_densified_to_even_steps() -> None:
    path = densify(np.array([[0.0, 0, 0], [0, 0, 9.0], [0, 6.0, 9.0]]), step_mm=3)

    assert np.linalg.norm(np.diff(path, axis=0), axis=1) == pytest.approx(3.0)


def test_walks_stay_out_of_white_matter_and_bone(template: Anatomy) -> None:
    rng = np.random.default_rng(1)
    terrain = survey(template)
    starts = pick(terrain, terrain.csf > 0.6, 50, rng)
    n = len(starts)

    paths = walk(
        terrain,
        Walkers(starts, random_directions(n, rng), np.full(n, 40.0), np.full(n, 20.0), np.zeros((n, 3))),
        rng,
    )

    labels = terrain.label_at(np.concatenate(paths))
    assert np.median([len(path) for path in paths]) > 10
    assert (
        np.isin(labels, [Structure.WHITE_MATTER, Structure.CORTICAL_BONE]).mean() < 0.2
    )  # most of the head is one or the other
