"""The anatomy that needs no files."""

from __future__ import annotations

import numpy as np
import pytest

from phantom.synthesis.anatomy.label_map import Anatomy, brain_mask
from phantom.synthesis.anatomy.structures import Structure

ADULT_BRAIN_L = (1.2, 1.6)

VOLUMES_ML: dict[Structure, tuple[float, float]] = {
    Structure.WHITE_MATTER: (350, 550),
    Structure.CORTEX: (420, 650),
    Structure.CEREBELLAR_CORTEX: (70, 150),
    Structure.CEREBELLAR_WHITE: (10, 40),
    Structure.BRAINSTEM: (15, 35),
    Structure.THALAMUS: (5, 18),
    Structure.DEEP_GREY: (10, 28),
    Structure.HIPPOCAMPUS: (3, 10),
    Structure.LATERAL_VENTRICLE: (6, 40),
    Structure.THIRD_VENTRICLE: (0.5, 3),
    Structure.FOURTH_VENTRICLE: (0.7, 4),
    Structure.SINUS: (5, 30),
    Structure.EYE: (5, 16),
}
"""Adult ranges of both sides together, widely drawn."""


def test_its_brain_has_the_size_of_an_adults(template: Anatomy) -> None:
    assert ADULT_BRAIN_L[0] < template.brain_volume_l < ADULT_BRAIN_L[1]


@pytest.mark.parametrize("structure", VOLUMES_ML)
def test_its_structures_have_plausible_volumes(template: Anatomy, structure: Structure) -> None:
    low, high = VOLUMES_ML[structure]

    assert low < np.count_nonzero(template.labels_kji == structure) / 1000 < high


def test_it_lies_on_a_canonical_1_mm_grid(template: Anatomy) -> None:
    edges = template.grid.affine_kji_to_lps_mm[:3, :3]

    np.testing.assert_array_equal(edges, [[0, 0, 1], [0, 1, 0], [1, 0, 0]])


def test_its_parts_lie_where_they_belong(template: Anatomy) -> None:
    centre = {
        structure: template.grid.to_lps_mm(np.argwhere(template.labels_kji == structure).mean(axis=0))
        for structure in (Structure.CEREBELLAR_CORTEX, Structure.CORTEX, Structure.EYE)
    }
    left, posterior, superior = centre[Structure.CEREBELLAR_CORTEX] - centre[Structure.CORTEX]

    assert abs(left) < 5
    assert posterior > 20
    assert superior < -20
    assert centre[Structure.EYE][1] < centre[Structure.CORTEX][1] - 40


def test_its_sinuses_lie_at_the_surface_of_the_brain_not_inside_it(template: Anatomy) -> None:
    sinus = template.labels_kji == Structure.SINUS

    assert np.count_nonzero(sinus & brain_mask(template.labels_kji)) < 0.5 * np.count_nonzero(sinus)
