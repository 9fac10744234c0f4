"""StoredStudy: what one study's inference left behind, small enough to keep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.geometry import Grid
from core.study import AnalysisMode, QualityFlag
from evaluation.cohorts.case import Case
from worker.boxes import bounding_box
from worker.ensemble import LesionProbability
from worker.preprocessing import PreparedVolumes

KEPT_FROM = np.float32(1 / 512)
"""Voxels in which the mean and every member stay below are stored as 0: they move an interpolated value
by less, far below any threshold."""

MARGIN_VOXELS = 3
"""Kept around the brain: lesions are outlined with up to two voxels around them."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class StoredStudy:
    """Outputs and truth of one study; enough to measure it at any threshold with any of its members.

    Parameters
    ----------
    name, anatomy
        Of the case.
    mode, flags, brain_volume_mm3
        Of the preparation.
    seconds
        Preparation and inference.
    grid
        The analysis grid, cropped to the brain mask.
    source_grid
        The T1-post grid, whole.
    member_names
        Those that took part.
    voxels
        int32, (n,): flat indices on ``grid`` of the voxels that are not 0 everywhere.
    mean
        float32, (n,): of all members, as inference gave it.
    members
        float16, (members, n): as inference gave them. Losses that saturate tell inventions from lesions
        between 0.99 and 1 alone.
    reference_kji, structures_kji
        Of the case, on the T1-post grid.
    lesion_volumes_mm3
        True volume of each reference lesion, by number; None where voxels are all there is.
    """

    name: str
    anatomy: str
    mode: AnalysisMode
    flags: tuple[QualityFlag, ...]
    brain_volume_mm3: float
    seconds: float
    grid: Grid
    source_grid: Grid
    member_names: tuple[str, ...]
    voxels: NDArray[np.int32]
    mean: Floats
    members: NDArray[np.float16]
    reference_kji: NDArray[np.uint16]
    structures_kji: NDArray[np.uint8] | None
    lesion_volumes_mm3: tuple[float, ...] | None

    def takes(self, member_names: tuple[str, ...]) -> bool:
        """Tell whether all of these members took part."""
        return set(member_names) <= set(self.member_names)

    def output(self, member_names: tuple[str, ...]) -> Floats:
        """Return the mean of some members at ``voxels``: of all as inference gave it, else of the float16."""
        if set(member_names) == set(self.member_names):
            return self.mean
        rows = [self.member_names.index(name) for name in member_names]
        return np.asarray(self.members[rows].mean(axis=0, dtype=np.float32))

    def on_grid(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """Put values at ``voxels`` into a volume of zeros on ``grid``."""
        volume = np.zeros(self.grid.shape_kji, dtype=values.dtype)
        volume.reshape(-1)[self.voxels] = values
        return volume

    def probability(self, member_names: tuple[str, ...], mode: AnalysisMode) -> LesionProbability:
        """Return what the service would look for lesions in, had only these members taken part."""
        rows = [self.member_names.index(name) for name in member_names]
        return LesionProbability(
            grid=self.grid,
            mean_kji=np.asarray(self.on_grid(self.output(member_names)), dtype=np.float32),
            member_names=member_names,
            members_kji=tuple(np.asarray(self.on_grid(row), np.float16) for row in self.members[rows]),
            brain_mask_kji=np.ones(self.grid.shape_kji, dtype=np.bool_),  # the mean is 0 outside the brain
            mode=mode,
        )


def store(
    case: Case, prepared: PreparedVolumes, probability: LesionProbability, seconds: float
) -> StoredStudy:
    """Keep of a study what measuring it takes."""
    box = _brain_box(prepared.brain_mask_kji)
    mean_kji = probability.mean_kji[box]
    members_kji = np.stack([member_kji[box] for member_kji in probability.members_kji])
    kept = (mean_kji >= KEPT_FROM) | (members_kji.max(axis=0) >= KEPT_FROM)
    voxels = np.flatnonzero(kept).astype(np.int32)
    affine = prepared.grid.affine_kji_to_lps_mm.copy()
    affine[:3, 3] = prepared.grid.to_lps_mm([s.start for s in box])
    shape = mean_kji.shape
    return StoredStudy(
        name=case.name,
        anatomy=case.anatomy,
        mode=prepared.mode,
        flags=prepared.flags,
        brain_volume_mm3=prepared.brain_volume_mm3,
        seconds=seconds,
        grid=Grid((shape[0], shape[1], shape[2]), affine),
        source_grid=prepared.source_grid,
        member_names=probability.member_names,
        voxels=voxels,
        mean=mean_kji[kept],
        members=members_kji[:, kept],
        reference_kji=case.reference_kji,
        structures_kji=case.structures_kji,
        lesion_volumes_mm3=_known_volumes(case),
    )


def reference_sizes_mm3(case: Case) -> tuple[float, ...]:
    """Return the volume of each reference lesion that decides its size class."""
    known = _known_volumes(case)
    if known is not None:
        return known
    voxels = np.bincount(case.reference_kji.ravel())[1:]
    return tuple((voxels * case.t1_post.grid.voxel_volume_mm3).tolist())


def _known_volumes(case: Case) -> tuple[float, ...] | None:
    volumes = case.lesion_volumes_mm3
    return None if volumes is None else tuple(float(volumes[number]) for number in sorted(volumes))


def _brain_box(mask_kji: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    box = bounding_box(mask_kji)
    k, j, i = (
        slice(max(first - MARGIN_VOXELS, 0), min(first + length + MARGIN_VOXELS, size))
        for first, length, size in zip(box.origin, box.extent, mask_kji.shape, strict=True)
    )
    return k, j, i
