"""Findings -> Findings whose lesions say where they lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.geometry import Grid
from core.lesion import NO_LOCATION, Location, Region, Side
from core.logs import logger
from worker.lesions import Findings
from worker.places.atlas import NO_PART, REGION_OF_VALUE, Atlas, load_atlas
from worker.places.fit import Solid, fit_affine
from worker.preprocessing import PreparedVolumes

MIN_OVERLAP = 0.85
"""Dice of the brain mask and the atlas's after the fit: whole heads reach 0.956, half a brain 0.80."""

SCALES = (0.75, 1.45)
"""Believed sizes of the atlas relative to a brain: it is larger than most, a child's brain is small."""

MAX_ELONGATION = 1.4
"""Largest stretch over smallest: a brain that needs more is not whole, or not a brain."""

MIDLINE_MM = 2.0
"""A lesion whose centre is nearer to the mid-plane than this has no side."""

REACH_MM = 10.0
"""A lesion in none of the parts belongs to one that is no farther away."""

UNPAIRED = frozenset({Region.BRAIN_STEM})
"""One body across the mid-plane."""


def locate_lesions(findings: Findings, prepared: PreparedVolumes) -> Findings:
    """Say of each lesion in which part of the brain and on which side it lies.

    Parameters
    ----------
    findings
        On the T1-post grid.
    prepared
        Its brain mask is what the atlas is fitted to.

    Returns
    -------
    Findings
        The same with the locations set; with ``NO_LOCATION`` where the atlas does not fit the brain.
    """
    if not findings.lesions:
        return findings
    atlas = load_atlas()
    lps_to_mni = fit_to_atlas(prepared.brain_mask_kji, prepared.grid, atlas)
    if lps_to_mni is None:
        return findings
    boxes = ndimage.find_objects(findings.label_map_kji)
    located = tuple(
        replace(lesion, location=_place(_voxels_lps_mm(findings, lesion.number, box), lps_to_mni, atlas))
        for lesion, box in zip(findings.lesions, boxes, strict=True)
    )
    return replace(findings, lesions=located)


def fit_to_atlas(brain_kji: NDArray[np.bool_], grid: Grid, atlas: Atlas) -> NDArray[np.float64] | None:
    """Return the 4 x 4 map of LPS mm onto the atlas's mm; None where the brain does not fit the atlas."""
    if not brain_kji.any():
        return None
    try:
        lps_to_mni = fit_affine(
            Solid.from_mask(brain_kji, grid), Solid.from_mask(atlas.brain_kji, atlas.grid)
        )
    except (
        ArithmeticError,
        ValueError,
    ) as error:  # a mask without a body; the lesions are reported all the same
        logger().warning("the atlas cannot be fitted: lesions have no region", error=str(error))
        return None
    overlap = _overlap(brain_kji, grid, lps_to_mni, atlas)
    stretches = np.linalg.svd(lps_to_mni[:3, :3], compute_uv=False)
    believed = SCALES[0] <= stretches[-1] and stretches[0] <= SCALES[1]
    if overlap < MIN_OVERLAP or not believed or stretches[0] > MAX_ELONGATION * stretches[-1]:
        logger().warning(
            "the atlas does not fit the brain: lesions have no region",
            overlap=round(overlap, 3),
            stretches=stretches.round(2).tolist(),
        )
        return None
    return lps_to_mni


def _overlap(
    brain_kji: NDArray[np.bool_], grid: Grid, lps_to_mni: NDArray[np.float64], atlas: Atlas
) -> float:
    """Return the Dice of both masks, at the atlas's voxels; what lies beyond these counts as well."""
    centres = atlas.grid.to_lps_mm(np.argwhere(np.ones(atlas.grid.shape_kji, dtype=np.bool_)))
    mni_to_lps = np.asarray(np.linalg.inv(lps_to_mni), dtype=np.float64)
    index = np.rint(grid.to_index_kji(_mapped(mni_to_lps, centres))).astype(np.int64)
    covered = ((index >= 0) & (index < brain_kji.shape)).all(axis=1)
    inside = np.zeros(len(index), dtype=np.bool_)
    inside[covered] = brain_kji[tuple(index[covered].T)]
    both = np.count_nonzero(inside & atlas.brain_kji.ravel())
    scale = abs(float(np.linalg.det(lps_to_mni[:3, :3])))
    brain_voxels = brain_kji.sum() * grid.voxel_volume_mm3 * scale / atlas.grid.voxel_volume_mm3
    return float(2 * both / (brain_voxels + np.count_nonzero(atlas.brain_kji)))


def _voxels_lps_mm(findings: Findings, number: int, box: tuple[slice, ...]) -> NDArray[np.float64]:
    index_kji = np.argwhere(findings.label_map_kji[box] == number) + [edge.start for edge in box]
    return findings.grid.to_lps_mm(index_kji)


def _place(voxels_lps_mm: NDArray[np.float64], lps_to_mni: NDArray[np.float64], atlas: Atlas) -> Location:
    points_mni_mm = _mapped(lps_to_mni, voxels_lps_mm)
    region = _region(points_mni_mm, atlas)
    x_mm = float(points_mni_mm[:, 0].mean())
    if region in UNPAIRED or abs(x_mm) < MIDLINE_MM:
        return replace(NO_LOCATION, region=region)
    return Location(region, Side.LEFT if x_mm > 0 else Side.RIGHT)


def _region(points_mni_mm: NDArray[np.float64], atlas: Atlas) -> Region:
    """Return the part that holds most of the points, or else the nearest one within reach."""
    index = np.rint(atlas.grid.to_index_kji(points_mni_mm)).astype(np.int64)
    index = np.clip(index, 0, np.array(atlas.values_kji.shape) - 1)
    votes = np.bincount(atlas.values_kji[tuple(index.T)], minlength=NO_PART + 1)
    votes[[0, NO_PART]] = 0
    if votes.any():
        return REGION_OF_VALUE[int(votes.argmax())]
    return _nearest_region(points_mni_mm.mean(axis=0), atlas)


def _nearest_region(point_mni_mm: NDArray[np.float64], atlas: Atlas) -> Region:
    labelled = (atlas.values_kji > 0) & (atlas.values_kji != NO_PART)
    voxels = np.argwhere(labelled)
    distances_mm = np.linalg.norm(atlas.grid.to_lps_mm(voxels) - point_mni_mm, axis=1)
    nearest = int(distances_mm.argmin())
    if distances_mm[nearest] > REACH_MM:
        return Region.BRAIN
    return REGION_OF_VALUE[int(atlas.values_kji[tuple(voxels[nearest])])]


def _mapped(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])
