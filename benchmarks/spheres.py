"""Spheres of known volume on a scan's grid, as the find stage would hand them on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.geometry import Grid
from core.study import AnalysisMode
from core.uids import derive_uid
from worker.canonical import canonical_grid
from worker.ensemble import LesionProbability
from worker.lesions import Findings, find_lesions
from worker.model_set import OperatingPoint

Triple = tuple[float, float, float]
DIAMETERS_MM = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
CELL_MM = 14.0
"""Every sphere has a cell of its own: the largest one with two voxels around."""

ANALYSIS_SPACING_MM = 1.0
"""Of the find stage: a network that is right gives the share of such a voxel that lies in the sphere."""

CENTRES, FOUND = "voxel centres", "find stage"
"""Where masks come from: voxels whose centre is in the sphere, on the scan's own grid; or what the find stage
makes of a network that is right on the analysis grid. The second loses small lesions' edges between the
grids, which no contour brings back: the goals are of the first."""


@dataclass(frozen=True, slots=True)
class Sphere:
    """A lesion of known volume; ``centre_kji_mm`` from the outer corner of the first voxel."""

    diameter_mm: float
    centre_kji_mm: Triple

    @property
    def volume_mm3(self) -> float:
        """Its true volume."""
        return float(np.pi / 6 * self.diameter_mm**3)


def lay_out(count: int, random: np.random.Generator) -> list[Sphere]:
    """Return spheres of every diameter, one in each cell, at random places between voxels."""
    spheres = []
    for row, diameter_mm in enumerate(DIAMETERS_MM):
        for column in range(count):
            k, j, i = (np.array([0, row, column]) + 0.5) * CELL_MM + random.uniform(-0.75, 0.75, 3)
            spheres.append(Sphere(diameter_mm, (float(k), float(j), float(i))))
    return spheres


def grid_for(spheres: Sequence[Sphere], spacing_kji_mm: Triple) -> Grid:
    """Return an axial grid over all cells."""
    extent_mm = np.max([sphere.centre_kji_mm for sphere in spheres], axis=0) + CELL_MM / 2
    slices, rows, columns = np.ceil(extent_mm / spacing_kji_mm).astype(int).tolist()
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = spacing_kji_mm
    affine[[2, 1, 0], 3] = np.array(spacing_kji_mm) / 2
    affine[3, 3] = 1
    return Grid((slices, rows, columns), affine)


def find(spheres: Sequence[Sphere], grid: Grid, masks: str) -> Findings:
    """Return the spheres as findings."""
    network = canonical_grid(grid, ANALYSIS_SPACING_MM) if masks == FOUND else grid
    points_kji_mm = network.to_lps_mm(np.stack(np.indices(network.shape_kji), axis=-1))[..., ::-1]
    mean = np.zeros(network.shape_kji)
    for sphere in spheres:
        inwards_mm = sphere.diameter_mm / 2 - np.linalg.norm(points_kji_mm - sphere.centre_kji_mm, axis=-1)
        share = np.clip(0.5 + inwards_mm / ANALYSIS_SPACING_MM, 0, 1) if masks == FOUND else inwards_mm >= 0
        mean = np.maximum(mean, share)
    probability = LesionProbability(
        grid=network,
        mean_kji=mean.astype(np.float32),
        member_names=("sphere",),
        members_kji=(mean.astype(np.float16),),
        brain_mask_kji=np.ones(network.shape_kji, dtype=bool),
        mode=AnalysisMode.T1_POST_ONLY,
    )
    point = OperatingPoint(threshold=0.5, minimum_component_voxels=1)
    return find_lesions(probability, grid, point, lambda n: (f"BM-{n:02d}", derive_uid("sphere", str(n))))


def volumes_in_cells(mask_kji: NDArray[np.bool_], grid: Grid, spheres: Sequence[Sphere]) -> list[float]:
    """Return the volume in every sphere's cell in mm3."""
    spacing_mm = np.array(grid.spacing_kji_mm)
    volumes = []
    for sphere in spheres:
        low_mm = np.floor(np.array(sphere.centre_kji_mm) / CELL_MM) * CELL_MM
        first, last = (np.rint(edge_mm / spacing_mm).astype(int) for edge_mm in (low_mm, low_mm + CELL_MM))
        box = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
        volumes.append(float(np.count_nonzero(mask_kji[box])) * grid.voxel_volume_mm3)
    return volumes
