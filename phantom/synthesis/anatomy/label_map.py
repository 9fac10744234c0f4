"""Anatomy: the label map of a whole head that a synthetic study is made from, and where its brain is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInput
from core.geometry import Grid
from phantom.fields import Mask
from phantom.synthesis.anatomy.morphology import close, grow
from phantom.synthesis.anatomy.structures import Structure

Labels = NDArray[np.uint8]
"""``Structure`` of each voxel."""

Box = tuple[slice, slice, slice]

BRAIN_TISSUES = frozenset(
    {
        Structure.WHITE_MATTER,
        Structure.CORTEX,
        Structure.DEEP_GREY,
        Structure.THALAMUS,
        Structure.PALLIDUM,
        Structure.HIPPOCAMPUS,
        Structure.CEREBELLAR_WHITE,
        Structure.CEREBELLAR_CORTEX,
        Structure.BRAINSTEM,
        Structure.LATERAL_VENTRICLE,
        Structure.INFERIOR_HORN,
        Structure.THIRD_VENTRICLE,
        Structure.FOURTH_VENTRICLE,
        Structure.CHIASM,
    }
)
"""What is brain wherever it lies; CSF is brain only next to these."""

CLOSING_MM = 3.0
"""Gaps narrower than twice this between brain tissues belong to the brain: sulci, vessels in fissures."""

CSF_RIM_MM = 3.0
"""CSF this near to brain tissue is inside a brain mask as tools draw it, about as SynthStrip."""

HEAD_MARGIN_MM = 4
"""Air kept around a head."""

_EDGE_MM = 1
"""Room beyond the reach of closing and rim, so that neither meets the edge of the box worked in."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A head as a map of tissues on a canonical 1 mm grid.

    Parameters
    ----------
    name
        Where it comes from: a file's stem, or ``mni152``.
    labels_kji
        ``Structure`` of each voxel; k towards Superior, j towards Posterior, i towards Left.
    grid
        Its lattice.
    """

    name: str
    labels_kji: Labels
    grid: Grid

    def __post_init__(self) -> None:
        if self.labels_kji.dtype != np.uint8 or self.labels_kji.shape != self.grid.shape_kji:
            raise ValueError(
                f"labels of {self.name} are {self.labels_kji.dtype} {self.labels_kji.shape}, "
                f"expected uint8 {self.grid.shape_kji}"
            )

    @cached_property
    def brain_volume_l(self) -> float:
        """Volume of ``brain_mask`` in litres.

        Raises
        ------
        InvalidInput
            The head has no brain.
        """
        voxels = int(np.count_nonzero(brain_mask(self.labels_kji)))
        if voxels == 0:
            raise InvalidInput(
                f"the head {self.name!r} has no brain, expected brain tissues among its labels"
            )
        return voxels * self.grid.voxel_volume_mm3 / 1e6


def brain_mask(labels_kji: Labels) -> Mask:
    """Return the brain as brain extraction draws it, on 1 mm voxels.

    Brain tissues and ventricles, closed by ``CLOSING_MM``, plus the CSF within ``CSF_RIM_MM`` of them that is
    not below the brainstem. Without any brain tissue the mask is empty.
    """
    mask = np.zeros(labels_kji.shape, dtype=bool)
    tissue = member_mask(labels_kji, BRAIN_TISSUES)
    if not tissue.any():
        return mask
    box = bounding_box(tissue, int(max(2 * CLOSING_MM, CSF_RIM_MM)) + _EDGE_MM)
    mask[box] = _close_and_rim(labels_kji[box], tissue[box])
    return mask


def member_mask(labels_kji: Labels, structures: Iterable[Structure]) -> Mask:
    """Return the voxels that are one of these structures."""
    table = np.zeros(256, dtype=bool)
    table[[int(s) for s in structures]] = True
    return np.asarray(table[labels_kji])


def bounding_box(mask: Mask, margin_voxels: int = 0) -> Box:
    """Return the slices around a mask, grown by a margin as far as the array goes.

    Raises
    ------
    InvalidInput
        The mask is empty.
    """
    if not mask.any():
        raise InvalidInput("the label map is empty where a head or a brain was expected")
    spans = []
    for axis, size in enumerate(mask.shape):
        others = tuple(a for a in range(3) if a != axis)
        occupied = np.flatnonzero(mask.any(axis=others))
        first, last = int(occupied[0]), int(occupied[-1])
        spans.append(slice(max(first - margin_voxels, 0), min(last + 1 + margin_voxels, size)))
    return spans[0], spans[1], spans[2]


def crop(anatomy: Anatomy, box: Box) -> Anatomy:
    """Return the part of a head inside a box; its voxels stay where they are in the world."""
    labels = np.ascontiguousarray(anatomy.labels_kji[box])
    affine = anatomy.grid.affine_kji_to_lps_mm.copy()
    affine[:3, 3] = anatomy.grid.to_lps_mm([s.start for s in box])
    return Anatomy(anatomy.name, labels, Grid(labels.shape, affine))


def crop_to_head(anatomy: Anatomy) -> Anatomy:
    """Cut the air away but for a margin.

    Raises
    ------
    InvalidInput
        There is nothing but air.
    """
    return crop(anatomy, bounding_box(anatomy.labels_kji != Structure.AIR, HEAD_MARGIN_MM))


def canonical_grid(shape_kji: tuple[int, int, int], origin_lps_mm: NDArray[np.float64]) -> Grid:
    """Return a 1 mm grid whose axes point to Superior, Posterior and Left from a first voxel's centre."""
    affine = np.eye(4)[[2, 1, 0, 3]]
    affine[:3, 3] = origin_lps_mm
    return Grid(shape_kji, affine)


def _close_and_rim(labels: Labels, tissue: Mask) -> Mask:
    padding = 2 * int(CLOSING_MM)
    inner = (slice(padding, -padding),) * 3
    closed = close(np.pad(tissue, padding), CLOSING_MM)[inner]
    rim = grow(tissue, CSF_RIM_MM) & (labels == Structure.CSF)
    rim[: _lowest_brain_slice(labels, tissue)] = False
    return np.asarray(closed | rim)


def _lowest_brain_slice(labels: Labels, tissue: Mask) -> int:
    """Return the lowest slice of the brainstem, or of the brain where none is labelled."""
    stem = labels == Structure.BRAINSTEM
    slices = (stem if stem.any() else tissue).any(axis=(1, 2))
    return int(np.argmax(slices))
