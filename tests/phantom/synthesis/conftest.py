"""Heads for the tests of the synthesis: ellipsoids, the template, real label maps where there are any."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from phantom.synthesis.anatomy.label_map import Anatomy, Labels, canonical_grid
from phantom.synthesis.anatomy.structures import Structure
from phantom.synthesis.anatomy.template import template_anatomy

ANATOMY_VARIABLE = "METSERVE_TEST_ANATOMY_DIR"

SHELLS_MM: tuple[tuple[Structure, float], ...] = (
    (Structure.SKIN, 20.0),
    (Structure.SOFT_TISSUE, 17.0),
    (Structure.CORTICAL_BONE, 12.0),
    (Structure.CSF, 6.0),
    (Structure.CORTEX, 0.0),
    (Structure.WHITE_MATTER, -4.0),
)
"""Outermost first: (structure, outer radius beyond the brain's)."""

BRAIN_RADII_KJI_MM = np.array([62.0, 80.0, 66.0])
"""An ellipsoid of 1.37 L."""


def ellipsoid_labels() -> Labels:
    """Shells around an ellipsoid brain with ventricles, a brainstem and one eye on the left."""
    shape = (174, 210, 182)
    centre = (np.array(shape) - 1) / 2
    k, j, i = (axis - c for axis, c in zip(np.ogrid[tuple(map(slice, shape))], centre, strict=True))
    labels = np.zeros(shape, dtype=np.uint8)
    for structure, beyond_mm in SHELLS_MM:
        a, b, c = BRAIN_RADII_KJI_MM + beyond_mm
        labels[(k / a) ** 2 + (j / b) ** 2 + (i / c) ** 2 < 1] = structure
    labels[(np.hypot(j, i) < 8) & (k < 0) & (k > -68)] = Structure.BRAINSTEM
    labels[(np.abs(i) < 15) & (np.abs(j) < 25) & (np.abs(k - 10) < 6)] = Structure.LATERAL_VENTRICLE
    labels[k**2 + (j + 82) ** 2 + (i - 30) ** 2 < 81] = Structure.EYE
    return labels


@pytest.fixture(scope="session")
def ellipsoid_head() -> Anatomy:
    labels = ellipsoid_labels()
    return Anatomy("ellipsoid", labels, canonical_grid(labels.shape, np.array([-90.0, -104.0, -86.0])))


@pytest.fixture(scope="session")
def template() -> Anatomy:
    return template_anatomy()


@pytest.fixture(scope="session")
def anatomy_folder() -> Path:
    """Folder of real label maps, for the tests that need them."""
    folder = os.environ.get(ANATOMY_VARIABLE)
    if not folder:
        pytest.skip(f"{ANATOMY_VARIABLE} names no folder of head label maps (NIfTI or packed)")
    return Path(folder)
