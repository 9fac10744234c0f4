"""Heads made ready for rendering: extra tissue layers, the depth of the brain, and points of its outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phantom.fields import Mask, signed_distance
from phantom.synthesis.anatomy.label_map import Anatomy, Labels, brain_mask, member_mask
from phantom.synthesis.anatomy.morphology import grow, shrink
from phantom.synthesis.anatomy.structures import Structure

MENINGES = 26
"""Outermost millimetre of the CSF under the skull: dura, as a label beyond ``Structure``."""

INNER_TABLE = 27
"""Innermost millimetre of the bone: what meninges, diploic veins and fat suppression make of it varies."""

SCALP_FAT = 28
"""Skin more than ``SKIN_MM`` from the air."""

LABELS = 29
"""Number of labels a prepared head may hold."""

SKIN_MM = 2.0
"""Thickness of what stays skin."""

DEPTH_LIMIT_MM = 60.0
"""Depths are kept in one byte, in half millimetres."""

DEPTHS_PER_MM = 2
"""Resolution of the depth."""

OUTLINE_STEP_VOXELS = 6
"""Every sixth voxel along each axis: enough to tell where head and brain end within 6 mm."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedHead:
    """A head at 1 mm, (k, j, i) towards Superior, Posterior and Left.

    Parameters
    ----------
    name
        Of the anatomy.
    labels_kji
        ``Structure``, or one of the layers of this module.
    depth_kji
        int8, distance to the brain's surface in half millimetres: negative inside the brain.
    head_points_kji, brain_points_kji
        (n, 3) voxels of the head and the brain, thinned out.
    """

    name: str
    labels_kji: Labels
    depth_kji: NDArray[np.int8]
    head_points_kji: NDArray[np.float64]
    brain_points_kji: NDArray[np.float64]


def prepare_head(anatomy: Anatomy) -> PreparedHead:
    """Add the layers, measure the depth, thin out the outline."""
    labels = _with_layers(anatomy.labels_kji)
    brain = brain_mask(anatomy.labels_kji)
    depth_mm = np.clip(signed_distance(brain, anatomy.grid.spacing_kji_mm), -DEPTH_LIMIT_MM, DEPTH_LIMIT_MM)
    depth = np.rint(depth_mm * DEPTHS_PER_MM).astype(np.int8)
    return PreparedHead(
        anatomy.name, labels, depth, _points(anatomy.labels_kji != Structure.AIR), _points(brain)
    )


def _with_layers(labels_kji: Labels) -> Labels:
    labels = labels_kji.copy()
    skull = member_mask(labels, (Structure.CORTICAL_BONE, Structure.DIPLOE, Structure.SOFT_TISSUE))
    fluid = labels == Structure.CSF
    labels[fluid & grow(skull, 1.0)] = MENINGES
    labels[(labels == Structure.CORTICAL_BONE) & grow(fluid, 1.0)] = INNER_TABLE
    within = shrink(labels_kji != Structure.AIR, SKIN_MM)
    labels[(labels_kji == Structure.SKIN) & within] = SCALP_FAT
    return labels


def _points(mask: Mask) -> NDArray[np.float64]:
    step = OUTLINE_STEP_VOXELS
    return np.argwhere(mask[::step, ::step, ::step]).astype(np.float64) * step
