"""Studies whose outputs are drawn by hand: no networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from core.geometry import Grid
from core.study import AnalysisMode
from evaluation.cohorts.case import Case, label_lesions
from evaluation.inference.stored_study import StoredStudy, store
from tests.synthetic import FRAME_OF_REFERENCE_UID, make_grid, make_references
from worker.ensemble import LesionProbability
from worker.preprocessing import PreparedVolumes
from worker.volumes import Volume

GRID = make_grid((40, 44, 48), (1, 1, 1))
MEMBERS = ("t1_post-a", "t1_post-b", "subtraction-a", "subtraction-b")


def blobs(
    centres_kji: Sequence[Sequence[float]], radius: float, peak: float = 0.9, grid: Grid = GRID
) -> np.ndarray:
    """Outputs that fall off linearly around each centre, through half the peak at the radius."""
    index = np.indices(grid.shape_kji).astype(np.float32)
    volume = np.zeros(grid.shape_kji, dtype=np.float32)
    for centre in centres_kji:
        distance = np.sqrt(sum((axis - c) ** 2 for axis, c in zip(index, centre, strict=True)))
        volume = np.maximum(volume, peak * np.clip(0.5 + (radius - distance) / 2, 0, 1))
    return volume.astype(np.float32)


def make_study(
    outputs: Sequence[np.ndarray],
    reference: np.ndarray,
    *,
    source_grid: Grid = GRID,
    name: str = "study",
    anatomy: str = "head",
    structures: np.ndarray | None = None,
    lesion_volumes_mm3: Mapping[int, float] | None = None,
) -> StoredStudy:
    """Keep a study with these members' outputs on ``GRID`` and this reference on the T1-post grid."""
    brain = np.ones(GRID.shape_kji, dtype=bool)
    brain[:2] = brain[-2:] = False
    masked = [np.where(brain, output, 0).astype(np.float32) for output in outputs]
    voxels = np.zeros(source_grid.shape_kji, dtype=np.float32)
    slices = make_references(source_grid.shape_kji[0])
    t1_post = Volume(voxels, source_grid, FRAME_OF_REFERENCE_UID, slices)
    labels = label_lesions(reference) if reference.dtype == bool else reference.astype(np.uint16)
    prepared = PreparedVolumes(GRID, voxels, voxels, brain, source_grid, slices, None, 1.2e6, ())
    probability = LesionProbability(
        grid=GRID,
        mean_kji=np.mean(masked, axis=0, dtype=np.float32),
        member_names=MEMBERS[: len(masked)],
        members_kji=tuple(output.astype(np.float16) for output in masked),
        brain_mask_kji=brain,
        mode=AnalysisMode.FULL,
    )
    case = Case(name, anatomy, t1_post, None, labels, structures, lesion_volumes_mm3)
    return store(case, prepared, probability, 1.5)
