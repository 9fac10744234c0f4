"""Room for metastases: which voxels of a brain are still free, and whether a body fits into them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phantom.fields import Mask, Points
from phantom.synthesis.anatomy.label_map import Anatomy, member_mask
from phantom.synthesis.anatomy.structures import Structure
from phantom.synthesis.lesions.settings import Range
from phantom.synthesis.lesions.shape import LesionBody

Indices = NDArray[np.intp]

OUTSIDE, FLUID, TISSUE = 0, 1, 2
"""What a voxel offers a lesion: nothing, CSF within the brain mask, or tissue."""

CSF = frozenset(
    {
        Structure.LATERAL_VENTRICLE,
        Structure.INFERIOR_HORN,
        Structure.THIRD_VENTRICLE,
        Structure.FOURTH_VENTRICLE,
        Structure.CSF,
    }
)

BRAIN_MARGIN_MM = 0.5
"""Voxels whose centre lies this near to a body must be brain too: the painted truth stays in the mask."""

RADIAL_SLACK = 1.25
"""Distances are taken along rays; the nearest surface is up to this factor nearer on an ellipsoid."""

BATCH = 100
"""Centres looked at at once."""

SCREEN_VOXELS = 150
"""Voxels of a body that are looked at before all of them are."""

SCREEN_SLACK = 0.1
"""What the share of tissue among those may be less than asked for."""


@dataclass(frozen=True, eq=False)
class Footprint:
    """Voxels of a body relative to the voxel its centre lies in.

    Parameters
    ----------
    jitter_voxels
        Centre of the body relative to the centre of its voxel.
    body, padded, zone
        (n, 3) voxels in the body; with ``BRAIN_MARGIN_MM``; with the gap to other lesions.
    """

    jitter_voxels: Points
    body: Indices
    padded: Indices
    zone: Indices


class Room:
    """What is still free; knows which lesion took which voxels."""

    def __init__(self, anatomy: Anatomy, brain: Mask, blocked: Mask) -> None:
        offer = np.where(member_mask(anatomy.labels_kji, CSF), np.uint8(FLUID), np.uint8(TISSUE))
        offer[~brain | blocked] = OUTSIDE
        self._offer = offer
        self._owner = np.zeros(offer.shape, dtype=np.uint8)
        self._placed = 0

    def take(self, centre: Indices, footprint: Footprint) -> None:
        """Give a body and the gap around it to the next lesion; lesions are numbered from 1."""
        self._placed += 1
        zone = centre + footprint.zone
        inside = ((zone >= 0) & (zone < self._owner.shape)).all(axis=1)
        self._owner[tuple(zone[inside].T)] = self._placed

    def first_fit(self, centres: Indices, footprint: Footprint, tissue_share: Range) -> Indices | None:
        """Return the first of some centres (n, 3) at which a body fits, None if it fits at none.

        Parameters
        ----------
        centres
            Voxels its centre may lie in.
        footprint
            Of the body.
        tissue_share
            Least and greatest share of tissue within it.
        """
        sparse = footprint.padded[:: max(1, len(footprint.padded) // SCREEN_VOXELS)]
        for start in range(0, len(centres), BATCH):
            batch = centres[start : start + BATCH]
            for centre in batch[self._fits(batch, sparse, (tissue_share[0] - SCREEN_SLACK, 1.0), None)]:
                if self._fits(centre[None], footprint.padded, tissue_share, None)[0]:
                    return np.asarray(centre)
        return None

    def fits_against(self, centre: Indices, footprint: Footprint, least: float, partner: int) -> bool:
        """Tell whether a body fits at a centre if it may enter the gap around lesion ``partner``."""
        return bool(self._fits(centre[None], footprint.padded, (least, 1.0), partner)[0])

    def _fits(self, centres: Indices, voxels: Indices, tissue_share: Range, partner: int | None) -> Mask:
        shape = np.array(self._offer.shape)
        low, high = voxels.min(axis=0), voxels.max(axis=0)
        fits = ((centres + low >= 0) & (centres + high < shape)).all(axis=1)
        strides = np.array([shape[1] * shape[2], shape[2], 1])
        flat = (centres[fits] @ strides)[:, None] + voxels @ strides
        offer, owner = self._offer.ravel()[flat], self._owner.ravel()[flat]
        free = (owner == 0) if partner is None else (owner == 0) | (owner == partner)
        tissue = (offer == TISSUE).mean(axis=1)
        fits[fits] = (
            free.all(axis=1)
            & (offer != OUTSIDE).all(axis=1)
            & (tissue >= tissue_share[0])
            & (tissue <= tissue_share[1])
        )
        return np.asarray(fits)


def footprint_of(anatomy: Anatomy, body: LesionBody, jitter_voxels: Points, gap_mm: float) -> Footprint:
    """Return the voxels of a body whose centre lies ``jitter_voxels`` off the centre of a voxel."""
    spacing = np.array(anatomy.grid.spacing_kji_mm)
    reach = np.ceil((body.reach_mm + RADIAL_SLACK * gap_mm) / spacing + 1).astype(int)
    axes = [np.arange(-n, n + 1) for n in reach]
    voxels = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    rays = body.rays((voxels - jitter_voxels) @ anatomy.grid.affine_kji_to_lps_mm[:3, :3].T)
    beyond_mm = rays.distance_mm - rays.radius_mm
    return Footprint(
        jitter_voxels=jitter_voxels,
        body=voxels[beyond_mm < 0],
        padded=voxels[beyond_mm < max(BRAIN_MARGIN_MM, float(beyond_mm.min()) + 1e-6)],
        zone=voxels[beyond_mm < RADIAL_SLACK * gap_mm],
    )
