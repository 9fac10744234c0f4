"""Where a training head lies in the network's cube: turned, scaled, bent, and cut by the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phantom.fields import Floats, refine
from training.brain.anatomy import PreparedHead

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GeometrySettings:
    """How a head is bent and where it is cut; lengths in mm.

    Parameters
    ----------
    spacing_mm, cube_voxels, top_margin_mm, continuation_mm
        The service's cube and what it adds beyond a cut (worker.brain, the manifest).
    rotation_deg
        Standard deviation about each axis; nodding twice that.
    scale_range, stretch
        Factor on the whole, and standard deviation of the logarithm of the factor along each axis.
    bend_knots_mm, bend_mm
        Distance of the knots of each displacement field, and its standard deviation.
    placing_error_mm
        Standard deviation of where the head is found.
    top_cut_share, top_cut_mm
        Share of scans that end near the vertex, and where: above the top of the brain, negative below.
    low_cut_share, low_cut_mm
        Share of scans that end in the head below, and where: above the lowest point of the brain.
    neck_mm
        How far the other scans reach below the brain.
    """

    spacing_mm: float = 2.0
    cube_voxels: int = 128
    top_margin_mm: float = 12.0
    continuation_mm: float = 24.0
    rotation_deg: float = 7.0
    scale_range: tuple[float, float] = (0.86, 1.16)
    stretch: float = 0.05
    bend_knots_mm: tuple[float, ...] = (64.0, 24.0)
    bend_mm: tuple[float, ...] = (4.0, 1.6)
    placing_error_mm: float = 5.0
    top_cut_share: float = 0.12
    top_cut_mm: tuple[float, float] = (-35.0, 10.0)
    low_cut_share: float = 0.15
    low_cut_mm: tuple[float, float] = (-10.0, 45.0)
    neck_mm: tuple[float, float] = (20.0, 170.0)


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """Where each voxel of the cube takes its value from.

    Parameters
    ----------
    source_index_kji
        float32 (3, k, j, i): index in the head's label map.
    matrix
        3 x 3, index of the cube to index of the head, without the bending.
    first_slice, last_slice
        Outermost slices of the scan, both included.
    continued_slices
        How many slices the service adds beyond a cut.
    """

    source_index_kji: Floats
    matrix: Matrix
    first_slice: int
    last_slice: int
    continued_slices: int

    @property
    def shape_kji(self) -> tuple[int, int, int]:
        """Shape of the cube."""
        slices, rows, columns = self.source_index_kji.shape[1:]
        return slices, rows, columns


def in_voxels(length_mm: float, spacing_mm: float) -> int:
    """Return a length in whole voxels, at least one."""
    return max(round(length_mm / spacing_mm), 1)


def draw_placement(head: PreparedHead, settings: GeometrySettings, rng: np.random.Generator) -> Placement:
    """Turn and scale the head, cut the scan, lay the cube as the service does, bend."""
    matrix = _draw_matrix(settings, rng)
    centre = head.brain_points_kji.mean(axis=0)
    inverse = np.linalg.inv(matrix)
    head_mm = (head.head_points_kji - centre) @ inverse.T
    brain_k_mm = ((head.brain_points_kji - centre) @ inverse.T)[:, 0]
    low_mm, high_mm = _draw_cuts(float(brain_k_mm.min()), float(brain_k_mm.max()), settings, rng)
    origin_mm = _lay_cube(head_mm, low_mm, high_mm, settings, rng)
    step = settings.spacing_mm
    first = int(np.clip(np.ceil((low_mm - origin_mm[0]) / step), 0, settings.cube_voxels - 2))
    last = int(np.clip(np.floor((high_mm - origin_mm[0]) / step), first + 1, settings.cube_voxels - 1))
    source = _affine_index(matrix * step, centre + matrix @ origin_mm, settings.cube_voxels)
    source += _bending(settings, rng)
    return Placement(source, matrix * step, first, last, round(settings.continuation_mm / step))


def _draw_matrix(settings: GeometrySettings, rng: np.random.Generator) -> Matrix:
    """Return the 3 x 3 matrix from mm around the brain's centre to voxels of the head (1 mm)."""
    nod, turn, tilt = np.deg2rad(rng.normal(0, settings.rotation_deg, 3)) * (2, 1, 1)
    scales = rng.uniform(*settings.scale_range) * np.exp(rng.normal(0, settings.stretch, 3))
    matrix = _rotation(0, 1, nod) @ _rotation(1, 2, turn) @ _rotation(0, 2, tilt)
    return np.asarray(matrix / scales)


def _rotation(a: int, b: int, angle: float) -> Matrix:
    matrix = np.eye(3)
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
    return matrix


def _draw_cuts(
    bottom_mm: float, top_mm: float, settings: GeometrySettings, rng: np.random.Generator
) -> tuple[float, float]:
    """Return where the scan begins and ends, along k, in mm from the brain's centre."""
    if rng.random() < settings.low_cut_share:
        low = bottom_mm + rng.uniform(*settings.low_cut_mm)
    else:
        low = bottom_mm - rng.uniform(*settings.neck_mm)
    cut = rng.random() < settings.top_cut_share
    return low, top_mm + (rng.uniform(*settings.top_cut_mm) if cut else np.inf)


def _lay_cube(
    head_mm: Matrix, low_mm: float, high_mm: float, settings: GeometrySettings, rng: np.random.Generator
) -> Matrix:
    """Return the first voxel's place: the head centred in j and i, its top below the cube's."""
    k_mm = head_mm[:, 0]
    reach_mm = (settings.cube_voxels - 1) * settings.spacing_mm
    top_mm = min(float(k_mm.max()), high_mm + settings.continuation_mm)
    seen = head_mm[(k_mm > max(top_mm - reach_mm, low_mm)) & (k_mm < high_mm)]
    centre = (seen.min(axis=0) + seen.max(axis=0)) / 2
    origin = centre - reach_mm / 2
    origin[0] = top_mm + settings.top_margin_mm - reach_mm
    return np.asarray(origin + rng.normal(0, settings.placing_error_mm, 3))


def _affine_index(matrix: Matrix, first: Matrix, voxels: int) -> Floats:
    steps = np.arange(voxels, dtype=np.float32)
    columns = matrix.astype(np.float32)
    return np.stack(
        [
            (np.float32(first[row]) + columns[row, 0] * steps)[:, None, None]
            + (columns[row, 1] * steps)[:, None]
            + columns[row, 2] * steps
            for row in range(3)
        ]
    )


def _bending(settings: GeometrySettings, rng: np.random.Generator) -> Floats:
    """Return a smooth displacement (3, k, j, i) in voxels of the head."""
    shape = (settings.cube_voxels,) * 3
    total = np.zeros((3, *shape), dtype=np.float32)
    for knots_mm, strength in zip(settings.bend_knots_mm, settings.bend_mm, strict=True):
        knots_voxels = in_voxels(knots_mm, settings.spacing_mm)
        knots = [n // knots_voxels + 2 for n in shape]
        for axis in range(3):
            coarse = (strength * rng.standard_normal(knots)).astype(np.float32)
            total[axis] += refine(coarse, knots_voxels, shape)
    return total
