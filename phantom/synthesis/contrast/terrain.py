"""The lie of a head: depth under the skull, midline, tentorium and CSF as fields that vessels follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from phantom.fields import Floats, Mask, Points, Shape, sample_at, signed_distance
from phantom.synthesis.anatomy.label_map import BRAIN_TISSUES, Anatomy, bounding_box, member_mask
from phantom.synthesis.anatomy.structures import Structure
from phantom.synthesis.contrast.head_frame import HeadFrame, fit_head_frame

STEP = 2
"""Fields are known at every second voxel: they are smooth, and a distance transform is the dearest step."""

CEREBRUM = frozenset({Structure.WHITE_MATTER, Structure.CORTEX, Structure.HIPPOCAMPUS})
CEREBELLUM = frozenset({Structure.CEREBELLAR_WHITE, Structure.CEREBELLAR_CORTEX})

INTRACRANIAL = BRAIN_TISSUES | {Structure.CSF}

LOWEST_SINUS_MM = -45.0
"""Below this, in standard mm, veins labelled as sinus have left the skull."""

MIDLINE_SEARCH_MM = 8.0
"""How far the fissure between the hemispheres bends away from a plane."""

MIDLINE_COST_PER_MM2 = 0.004
"""CSF share given up per squared mm from that plane: none if there is no fissure to be seen."""

CSF_BLUR = 0.8
"""Standard deviation in cells."""

_FAR_MM = 20.0
"""How far around the cerebellum a tentorium is looked for."""

Field = Callable[[Points], Points]


@dataclass(frozen=True, eq=False)
class Terrain:
    """Fields of one head, on every ``STEP``-th voxel.

    Parameters
    ----------
    labels_kji
        ``Structure`` of each voxel.
    frame
        Where standard places are.
    depth_mm
        Distance to the inner surface of the skull, positive inside.
    tentorium_mm
        Distance to the sheet midway between cerebrum and cerebellum, positive in the cerebellum.
    cleft_mm
        Width of the space between them there.
    csf
        Share of CSF, sulci and cisterns, within 1 mm.
    csf_slope
        (3, k, j, i) gradient per voxel of ``csf``, blurred so far that it leads back from inside a gyrus.
    midline_i
        (k, j) index i of the plane between the hemispheres.
    """

    labels_kji: NDArray[np.uint8]
    frame: HeadFrame
    depth_mm: Floats
    tentorium_mm: Floats
    cleft_mm: Floats
    csf: Floats
    csf_slope: Floats
    midline_i: Floats

    @property
    def shape(self) -> Shape:
        """Shape of the head in voxels."""
        k, j, i = self.labels_kji.shape
        return k, j, i

    def depth(self, points_kji: Points) -> Points:
        """Return the depth under the skull in mm at fractional indices (n, 3)."""
        return sample_at(self.depth_mm, points_kji / STEP)

    def tentorium(self, points_kji: Points) -> Points:
        """Return the signed distance to the tentorium in mm."""
        return sample_at(self.tentorium_mm, points_kji / STEP)

    def cleft(self, points_kji: Points) -> Points:
        """Return how wide the space between cerebrum and cerebellum is in mm."""
        return sample_at(self.cleft_mm, points_kji / STEP)

    def midline(self, points_kji: Points) -> Points:
        """Return the distance from the midline in mm, positive to the left."""
        at = ndimage.map_coordinates(self.midline_i, points_kji[:, :2].T / STEP, order=1, mode="nearest")
        return np.asarray((points_kji[:, 2] - at) * self.frame.axes[2, 2])

    def csf_share(self, points_kji: Points) -> Points:
        """Return the share of CSF around fractional indices."""
        return sample_at(self.csf, points_kji / STEP)

    def towards_csf(self, points_kji: Points) -> Points:
        """Return the gradient of the share of CSF, (n, 3)."""
        return np.stack([sample_at(slope, points_kji / STEP) for slope in self.csf_slope], axis=1)

    def voxels(self, coarse: Mask) -> NDArray[np.int64]:
        """Return the indices (n, 3) of all voxels of the cells of a mask on the fields' lattice."""
        cells = STEP * np.argwhere(coarse)
        corners = np.indices((STEP,) * 3).reshape(3, -1).T
        voxels = (cells[:, None, :] + corners).reshape(-1, 3)
        return np.asarray(voxels[np.all(voxels < self.shape, axis=1)])

    def near(self, field: Floats, voxels: NDArray[np.int64]) -> Points:
        """Return a very smooth field on the terrain's lattice at the nearest cell below each voxel."""
        return np.asarray(field[tuple(voxels.T // STEP)])

    def label_at(self, points_kji: Points) -> NDArray[np.uint8]:
        """Return the structure at the nearest voxel, AIR outside."""
        nearest = np.rint(points_kji).astype(np.int64)
        inside = np.all((nearest >= 0) & (nearest < self.shape), axis=1)
        labels = np.zeros(len(nearest), dtype=np.uint8)
        labels[inside] = self.labels_kji[tuple(nearest[inside].T)]
        return labels


def survey(anatomy: Anatomy) -> Terrain:
    """Measure a head once; every vessel and membrane is placed by these fields.

    Raises
    ------
    InvalidInput
        Too few structures are labelled to tell the head's pose.
    """
    labels = anatomy.labels_kji
    frame = fit_head_frame(labels)
    coarse = labels[::STEP, ::STEP, ::STEP]
    tentorium, cleft = _tentorium(coarse)
    csf = _share(labels == Structure.CSF)
    slope = np.stack([gradient / STEP for gradient in np.gradient(ndimage.gaussian_filter(csf, CSF_BLUR))])
    return Terrain(
        labels_kji=labels,
        frame=frame,
        depth_mm=_depth(_inside_skull(coarse, frame)),
        tentorium_mm=tentorium,
        cleft_mm=cleft,
        csf=csf,
        csf_slope=slope.astype(np.float32),
        midline_i=_midline(frame, csf, (coarse == Structure.SINUS)),
    )


def slide(points_kji: Points, onto: list[tuple[Field, float]], rounds: int = 8) -> Points:
    """Move points along the gradients of fields until each field has its value there.

    Parameters
    ----------
    points_kji
        (n, 3) fractional indices.
    onto
        (field in mm, value wanted) pairs.
    rounds
        Of one step per field; three or four suffice where the surfaces are not nearly parallel.
    """
    points = np.array(points_kji, dtype=np.float64)
    for _ in range(rounds):
        for field, wanted in onto:
            excess = np.clip(field(points) - wanted, -6, 6)
            slope = np.stack([(field(points + e) - field(points - e)) / 4 for e in 2 * np.eye(3)], axis=1)
            points -= (excess / np.maximum((slope**2).sum(axis=1), 0.2))[:, None] * slope
    return points


def _depth(inside: Mask) -> Floats:
    """Return the distance to the border of a mask: half a cell less than to the nearest cell beyond it."""
    distance = -signed_distance(inside, (float(STEP),) * 3)
    return _soften(distance - np.copysign(np.float32(STEP / 2), distance))


def _tentorium(coarse: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Return the distance to the sheet between cerebrum and cerebellum, and the width of the space there.

    Away from the cerebellum both say that there is no sheet.
    """
    tentorium = np.full(coarse.shape, -_FAR_MM, dtype=np.float32)
    cleft = np.full(coarse.shape, 4 * _FAR_MM, dtype=np.float32)
    cerebellum = member_mask(coarse, CEREBELLUM)
    if not cerebellum.any() or not member_mask(coarse, CEREBRUM).any():
        return tentorium, cleft
    box = bounding_box(cerebellum, int(_FAR_MM / STEP))
    to_cerebrum, to_cerebellum = (
        ndimage.distance_transform_edt(~mask[box], sampling=STEP).astype(np.float32)
        for mask in (member_mask(coarse, CEREBRUM), cerebellum)
    )
    tentorium[box] = (to_cerebrum - to_cerebellum) / 2
    cleft[box] = to_cerebrum + to_cerebellum
    return _soften(tentorium), cleft


def _share(mask: Mask) -> Floats:
    """Average a mask over the voxels around every second one, weighted 1 2 1 along each axis."""
    share = mask.astype(np.uint8)
    for axis in range(3):
        padded = np.moveaxis(share, axis, 0)
        even = 2 * padded[::STEP]
        odd = padded[1::STEP]
        even[: len(odd)] += odd
        even[1:] += odd[: len(even) - 1]
        share = np.moveaxis(even, 0, axis)
    return np.ascontiguousarray(share, dtype=np.float32) / np.float32(64)


def _soften(field: Floats) -> Floats:
    """Take the steps of the lattice out of a distance."""
    return np.asarray(ndimage.gaussian_filter(field, 0.7), dtype=np.float32)


def _inside_skull(coarse: NDArray[np.uint8], frame: HeadFrame) -> Mask:
    inside = member_mask(coarse, INTRACRANIAL)
    sinus = np.argwhere(coarse == Structure.SINUS)
    high = frame.to_standard(STEP * sinus.astype(np.float64))[:, 0] > LOWEST_SINUS_MM
    inside[tuple(sinus[high].T)] = True
    return inside


def _midline(frame: HeadFrame, csf: Floats, sinus: Mask) -> Floats:
    """Find where the fissure runs near the plane of symmetry: index i for each (k, j) of the lattice."""
    k, j = np.meshgrid(*(STEP * np.arange(n, dtype=np.float64) for n in csf.shape[:2]), indexing="ij")
    normal = np.linalg.inv(frame.matrix)[2]
    k0, j0, i0 = frame.origin_kji
    plane = i0 - (normal[0] * (k - k0) + normal[1] * (j - j0)) / normal[2]
    offsets = np.arange(-MIDLINE_SEARCH_MM, MIDLINE_SEARCH_MM + 1)
    fluid = csf + sinus
    scores = []
    for offset in offsets:
        places = np.stack([k.ravel(), j.ravel(), plane.ravel() + offset], axis=1) / STEP
        share = ndimage.gaussian_filter(sample_at(fluid, places).reshape(k.shape), 2.0)
        scores.append(share - MIDLINE_COST_PER_MM2 * offset**2)
    bend = ndimage.gaussian_filter(offsets[np.argmax(scores, axis=0)], 2.0)
    return np.asarray(plane + bend, dtype=np.float32)
