"""A head without its skull, on a coarse grid, before and after contrast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.synthetic import Sphere, brain_depth_mm, grid_points, make_grid, make_volume
from worker.model_set import InputSpec
from worker.volumes import Volume

GRID = make_grid((70, 90, 74), (2.0, 2.0, 2.0), centre_lps_mm=(0, 5, 15))
LESION = Sphere((30.0, -20.0, 30.0), 8.0)
SPEC = InputSpec(
    spacing_mm=2.0,
    axes=("R", "A", "S"),
    subtraction_scaling="median_ratio_in_brain",
    normalisation="z_score_in_brain",
    background_value=0.0,
    brain_dilation_mm=4.0,
)
"""As released, but at 2 mm: an eighth of the voxels."""


def make_t1_post() -> Volume:
    return _strip(make_volume(GRID, lesions=(LESION,), seed=1))


def make_t1() -> Volume:
    return _strip(make_volume(GRID, enhanced=False, gain=3.0, seed=2))


def unused_brain(head_kji, grid):
    raise AssertionError("a stripped scan needs no brain extraction")


def _strip(volume: Volume) -> Volume:
    inside = brain_depth_mm(grid_points(volume.grid)) > 0
    return replace(volume, voxels_kji=np.where(inside, volume.voxels_kji, 0).astype(np.float32))
