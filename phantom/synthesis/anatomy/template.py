"""The anatomy that needs no files: the public MNI152 brain in the phantom's head, as structures.

Tissue comes from the template's grey- and white-matter maps; which nucleus, ventricle or part of the brain it
belongs to, from ellipsoids and planes in MNI millimetres. It is rougher than a segmented head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from phantom.extracerebral import Axes, Tissue, Triple, ellipsoid_norm
from phantom.fields import Mask
from phantom.synthesis.anatomy.label_map import Anatomy, Labels, canonical_grid, crop_to_head
from phantom.synthesis.anatomy.structures import Structure

if TYPE_CHECKING:  # needs nibabel, which a machine that only trains has not
    from phantom.anatomy import TissueMap

TEMPLATE_NAME = "mni152"

TEMPLATE_SEED = 152
"""One head of the phantom, always the same: its warp makes the symmetric template asymmetric."""

CSF_SHARE = 0.4
"""Share of CSF from which a voxel is CSF: one half would lose the average's blurred sulci."""

SINUS_SHARE = 0.5
"""Share of a voxel inside a sinus from which it is sinus."""

CAROTID_RADIUS_MM = 2.4
"""The cavernous carotid is 4 to 5 mm wide."""

CORTICAL_GREY: tuple[tuple[Structure, Triple, Triple], ...] = (
    (Structure.HIPPOCAMPUS, (27, -22, -14), (9, 17, 8)),
    (Structure.DEEP_GREY, (23, -4, -20), (9, 8, 8)),  # amygdala
    (Structure.DEEP_GREY, (10, 12, -9), (6, 7, 5)),  # accumbens
)
"""(structure, centre, radii) in MNI mm of the right one of each pair: grey matter in it."""

NUCLEI: tuple[tuple[Structure, Triple, Triple], ...] = (
    (Structure.DEEP_GREY, (27, 2, 1), (8, 19, 13)),  # putamen
    (Structure.DEEP_GREY, (13, 14, 8), (7, 12, 13)),  # head of the caudate
    (Structure.DEEP_GREY, (16, -2, 20), (5, 16, 6)),  # its body
)
"""Likewise, for grey matter inside the insula."""

MIXED_NUCLEI: tuple[tuple[Structure, Triple, Triple], ...] = (
    (Structure.THALAMUS, (11, -19, 8), (10, 14, 9)),
    (Structure.PALLIDUM, (19, -4, 0), (5, 9, 6)),
)
"""Likewise, whatever the maps call it: both are between grey and white."""

BRAINSTEM: tuple[tuple[Triple, Triple], ...] = (
    ((0, -22, -10), (17, 13, 11)),  # midbrain
    ((0, -28, -33), (17, 16, 17)),  # pons
    ((0, -40, -58), (10, 12, 20)),  # medulla
    ((9, -12, -7), (9, 9, 6)),  # ventral diencephalon
)
"""(centre, radii) in MNI mm."""

VENTRICLES: tuple[tuple[Structure, Triple, Triple], ...] = (
    (Structure.LATERAL_VENTRICLE, (12, 16, 11), (13, 22, 16)),  # anterior horn
    (Structure.LATERAL_VENTRICLE, (14, -14, 21), (14, 26, 10)),  # body
    (Structure.LATERAL_VENTRICLE, (27, -42, 8), (12, 20, 16)),  # trigone
    (Structure.INFERIOR_HORN, (34, -20, -13), (8, 20, 9)),
    (Structure.THIRD_VENTRICLE, (0, -12, 1), (4, 21, 12)),
    (Structure.FOURTH_VENTRICLE, (0, -44, -32), (10, 8, 15)),
)
"""CSF in these is ventricle; those further down win."""

CHIASM: tuple[Triple, Triple] = ((0, 3, -18), (8, 4, 2.5))


def template_anatomy() -> Anatomy:
    """Return the MNI152 brain in a whole head, scaled to an adult's size; always the same.

    Raises
    ------
    InvalidInput
        nilearn, which carries the brain, is not installed.
    """
    from phantom.anatomy import mni_axes, template_tissues  # reads with nibabel

    rng = np.random.default_rng(TEMPLATE_SEED)
    tissues = template_tissues(rng)
    z, y, x = mni_axes(tissues.labels.shape)
    labels = _translate(tissues.labels, (z, y, np.abs(x)))
    _paint_brain(labels, tissues, (z, y, np.abs(x)))
    _paint_vessels(labels, tissues, rng)
    return _at_1_mm(labels, tissues)


def _translate(tissue_labels: Labels, mirrored: Axes) -> Labels:
    table = np.zeros(len(Tissue), dtype=np.uint8)
    for tissue, structure in _STRUCTURE_OF_TISSUE.items():
        table[tissue] = structure
    labels = table[tissue_labels]
    z, y, _ = mirrored
    labels[(labels == Structure.CORD) & (y > 0) & (z > -62)] = Structure.SOFT_TISSUE  # optic nerves
    return labels


def _paint_brain(labels: Labels, tissues: TissueMap, mirrored: Axes) -> None:
    """Paint from large to small; later structures cover earlier ones."""
    brain = tissues.brain
    csf = brain.brain_mask & (1 - brain.grey - brain.white > CSF_SHARE)
    solid = brain.brain_mask & ~csf
    grey = solid & (brain.grey >= brain.white)
    labels[csf] = Structure.CSF
    labels[solid] = Structure.WHITE_MATTER
    labels[grey] = Structure.CORTEX
    below = solid & _below_tentorium(mirrored)
    labels[below] = Structure.CEREBELLAR_WHITE
    labels[below & grey] = Structure.CEREBELLAR_CORTEX
    inner = grey & (np.asarray(mirrored[2]) < _INSULA_MM)
    _paint_all(labels, CORTICAL_GREY, grey & ~below, mirrored)
    _paint_all(labels, NUCLEI, inner, mirrored)
    _paint_all(labels, MIXED_NUCLEI, solid, mirrored)
    _paint_all(labels, [(Structure.BRAINSTEM, *place) for place in BRAINSTEM], solid, mirrored)
    _paint_all(labels, VENTRICLES, csf & (tissues.shell.braincase < -_DEEP_MM), mirrored)
    _paint_all(labels, [(Structure.CHIASM, *CHIASM)], brain.brain_mask, mirrored)


_INSULA_MM = 36
"""Grey matter further from the midline than this is cortex."""

_DEEP_MM = 8.0
"""Ventricles lie deeper than this under the surface of the brain."""


def _paint_all(
    labels: Labels,
    places: tuple[tuple[Structure, Triple, Triple], ...] | list[tuple[Structure, Triple, Triple]],
    allowed: Mask,
    mirrored: Axes,
) -> None:
    for structure, centre, radii in places:
        labels[allowed & (ellipsoid_norm(mirrored, centre, radii) < 1)] = structure


def _below_tentorium(mirrored: Axes) -> Mask:
    """Return the posterior fossa: below a tent with its top at the splenium, behind the petrous bone."""
    z, y, x = mirrored
    tentorium = 3 - 0.30 * np.maximum(-45 - y, 0) - 0.38 * x
    petrous = -28 - 0.35 * np.maximum(x - 15, 0)
    return np.asarray((z < tentorium) & (y < petrous))


def _paint_vessels(labels: Labels, tissues: TissueMap, rng: np.random.Generator) -> None:
    """Paint the phantom's venous sinuses outside the brain's tissues, and its carotids in the skull base."""
    from phantom.anatomy import head_from_tissues
    from phantom.vessels import CAROTID, Tube, TubeCanvas, grow_vessels

    head = head_from_tissues(tissues, rng)
    sinus = grow_vessels(head, rng).sinus
    path = np.array(CAROTID, dtype=np.float64)
    dense = np.stack([np.interp(np.arange(0, len(path) - 1, 0.02), np.arange(len(path)), p) for p in path.T])
    sides = [dense.T, dense.T * [-1, 1, 1]]
    carotid = TubeCanvas(head).paint([Tube(s, np.full(len(s), CAROTID_RADIUS_MM)) for s in sides])
    outside = ~tissues.brain.brain_mask | (labels == Structure.CSF)
    labels[outside & (labels != Structure.AIR) & (carotid > SINUS_SHARE)] = Structure.CAROTID
    labels[outside & (labels != Structure.AIR) & (sinus > SINUS_SHARE)] = Structure.SINUS


def _at_1_mm(labels: Labels, tissues: TissueMap) -> Anatomy:
    """Resample to 1 mm, to the nearest voxel; crop to the head. MNI (0, 0, 0) is LPS (0, 0, 0)."""
    from phantom.anatomy import mni_axes

    scale = tissues.scale_kji
    shape = tuple(int(n) for n in np.ceil(np.array(labels.shape) * scale))
    resampled = ndimage.affine_transform(labels, 1 / scale, output_shape=shape, order=0, prefilter=False)
    z, y, x = (float(np.ravel(axis)[0]) for axis in mni_axes(labels.shape))
    origin_lps_mm = np.array([-x, -y, z]) * scale[::-1]
    return crop_to_head(Anatomy(TEMPLATE_NAME, resampled, canonical_grid(resampled.shape, origin_lps_mm)))


_STRUCTURE_OF_TISSUE: dict[Tissue, Structure] = {
    Tissue.AIR: Structure.AIR,
    Tissue.SKIN: Structure.SKIN,
    Tissue.FAT: Structure.SOFT_TISSUE,
    Tissue.MUSCLE: Structure.SOFT_TISSUE,
    Tissue.MARROW: Structure.DIPLOE,
    Tissue.CORTICAL_BONE: Structure.CORTICAL_BONE,
    Tissue.MUCOSA: Structure.MUCOSA,
    Tissue.DURA: Structure.CSF,  # thinner than a voxel; contrast paints it
    Tissue.CSF: Structure.CSF,
    Tissue.EYE: Structure.EYE,
    Tissue.EYE_MUSCLE: Structure.SOFT_TISSUE,
    Tissue.CORD: Structure.CORD,
    Tissue.BRAIN: Structure.CSF,  # painted over
}
