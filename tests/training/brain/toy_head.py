"""A head of nested ellipsoids on a neck: tests of the brain extraction's training need no label map."""

from __future__ import annotations

from functools import cache

import numpy as np

from phantom.synthesis.anatomy.label_map import Anatomy, canonical_grid
from phantom.synthesis.anatomy.structures import Structure
from training.brain.anatomy import PreparedHead, prepare_head

SHAPE_KJI = (190, 190, 160)
CENTRE_KJI = (110, 95, 80)
BRAIN_RADII_MM = (55.0, 72.0, 58.0)

LAYERS = (
    (16.0, Structure.SKIN),
    (9.0, Structure.CORTICAL_BONE),
    (6.0, Structure.DIPLOE),
    (4.0, Structure.CORTICAL_BONE),
    (2.0, Structure.CSF),
    (0.0, Structure.CORTEX),
    (-4.0, Structure.WHITE_MATTER),
)
"""Each layer's outer surface, mm beyond the brain's, from outside to inside."""


def make_toy_anatomy() -> Anatomy:
    """Return a head that shows its neck down to the lowest slice, and air on all other sides."""
    k, j, i = np.ogrid[tuple(slice(0, n) for n in SHAPE_KJI)]
    labels = np.zeros(SHAPE_KJI, np.uint8)
    neck = ((j - CENTRE_KJI[1] - 10) / 55) ** 2 + ((i - CENTRE_KJI[2]) / 50) ** 2 < 1
    labels[np.broadcast_to(neck & (k < CENTRE_KJI[0] - 20), SHAPE_KJI)] = Structure.SOFT_TISSUE
    for beyond_mm, structure in LAYERS:
        scaled = [
            (axis - centre) / (radius + beyond_mm)
            for axis, centre, radius in zip((k, j, i), CENTRE_KJI, BRAIN_RADII_MM, strict=True)
        ]
        labels[sum(x**2 for x in scaled) < 1] = structure
    stem = ((j - CENTRE_KJI[1]) ** 2 + (i - CENTRE_KJI[2]) ** 2 < 12**2) & (abs(k - 60) < 15)
    labels[stem & (labels != Structure.WHITE_MATTER)] = Structure.BRAINSTEM
    return Anatomy("toy", labels, canonical_grid(SHAPE_KJI, np.zeros(3)))


@cache
def make_toy_head() -> PreparedHead:
    """Prepare it once: that takes seconds."""
    return prepare_head(make_toy_anatomy())
