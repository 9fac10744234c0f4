"""All that enhances in a head without being a metastasis: what a detector has to leave alone."""

from __future__ import annotations

import numpy as np

from phantom.synthesis.anatomy.label_map import Anatomy
from phantom.synthesis.contrast.glands import grow_glands
from phantom.synthesis.contrast.layers import Contrast, ContrastLayer, ContrastSettings, Uptake
from phantom.synthesis.contrast.membranes import grow_membranes
from phantom.synthesis.contrast.sinuses import grow_sinuses
from phantom.synthesis.contrast.small_vessels import grow_small_vessels
from phantom.synthesis.contrast.terrain import survey
from phantom.synthesis.contrast.vessels import grow_vessels

__all__ = ["ContrastLayer", "ContrastSettings", "grow_contrast"]


def grow_contrast(
    anatomy: Anatomy, model: Contrast, settings: ContrastSettings, rng: np.random.Generator
) -> tuple[ContrastLayer, ...]:
    """Grow membranes, vessels, glands and sinuses by a head's own labels.

    Parameters
    ----------
    anatomy
        The head, warped; cropped to the brain and some margin, or whole.
    model
        How bright a tissue is in this study.
    settings
        Numbers, sizes and concentrations.
    rng
        Source of randomness; the same state gives the same layers, bit for bit.

    Returns
    -------
    tuple of ContrastLayer
        In the order in which they cover each other; none is empty.

    Raises
    ------
    InvalidInput
        Too few brain structures are labelled to tell where anything lies.
    """
    terrain = survey(anatomy)
    uptake = Uptake(model, settings, rng)
    return (
        *grow_membranes(terrain, uptake, settings, rng),
        *grow_small_vessels(terrain, uptake, settings, rng),
        *grow_vessels(terrain, uptake, settings, rng),
        *grow_glands(terrain, uptake, settings, rng),
        *grow_sinuses(terrain, uptake, settings, rng),
    )
