"""Shares of voxels: how much of each a metastasis's wall and core fill, on any grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.geometry import Grid
from phantom.fields import Floats, Mask, Points
from phantom.synthesis.anatomy.label_map import Box
from phantom.synthesis.lesions.shape import LesionBody

SUB_VOXEL_SHARE, SUB_VOXEL_MM = 0.06, (0.2, 0.34)
"""Edge of the sub-voxels a surface is sampled with: a share of the reach's double within these bounds."""

STEEPNESS = 1.7
"""A surface may be this much nearer to a voxel than it is along the ray: lobes and waves are steep."""


@dataclass(frozen=True, eq=False)
class BodyFractions:
    """Shares of the voxels in a box that are enhancing wall and core.

    Parameters
    ----------
    box
        Slices into the grid.
    points_mm
        Centres of its voxels in the head's LPS, relative to the body's centre, (n, 3).
    enhancing, core
        float32 with the box's shape, 0..1.
    depth
        Distance from the body's centre relative to the radius there.
    """

    box: Box
    points_mm: Points
    enhancing: Floats
    core: Floats
    depth: Floats


def rasterise_body(body: LesionBody, grid: Grid, margin_mm: float = 0.0) -> BodyFractions | None:
    """Return a body's share of the voxels of a grid, None where it lies outside.

    Parameters
    ----------
    body
        Its centre is in the grid's LPS.
    grid
        Any grid.
    margin_mm
        Room around the body in the box.
    """
    box = box_around(body.star.centre_lps_mm, body.reach_mm + margin_mm, grid)
    if any(s.stop <= s.start for s in box):
        return None
    axes = [np.arange(s.start, s.stop) for s in box]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    points = (grid.to_lps_mm(index) - body.star.centre_lps_mm).reshape(-1, 3)
    depth, enhancing, core, crossed = _at_centres(body, points, grid)
    enhancing[crossed], core[crossed] = _at_sub_voxels(body, points[crossed], grid)
    shape = index.shape[:3]
    return BodyFractions(
        box=box,
        points_mm=points,
        enhancing=enhancing.reshape(shape),
        core=core.reshape(shape),
        depth=depth.reshape(shape),
    )


def _at_centres(body: LesionBody, points_mm: Points, grid: Grid) -> tuple[Floats, Floats, Floats, Mask]:
    """Classify voxels by their centres; tell which a surface may cross."""
    rays = body.rays(points_mm)
    half_mm = STEEPNESS * float(np.linalg.norm(grid.spacing_kji_mm)) / 2
    in_core = (rays.distance_mm >= rays.core_from_mm) & (rays.distance_mm < rays.core_to_mm)
    inside = rays.distance_mm < rays.radius_mm
    crossed = np.abs(rays.distance_mm - rays.radius_mm) < half_mm
    if body.core is not None:
        crossed |= np.abs(rays.distance_mm - rays.core_to_mm) < half_mm
        if len(body.core.septum_normals):
            crossed |= inside
    depth = (rays.distance_mm / rays.radius_mm).astype(np.float32)
    return depth, (inside & ~in_core).astype(np.float32), (inside & in_core).astype(np.float32), crossed


def _at_sub_voxels(body: LesionBody, points_mm: Points, grid: Grid) -> tuple[Floats, Floats]:
    edge_mm = np.clip(SUB_VOXEL_SHARE * 2 * body.reach_mm, *SUB_VOXEL_MM)
    counts = np.ceil(np.array(grid.spacing_kji_mm) / edge_mm).astype(int)
    steps = [(np.arange(n) + 0.5) / n - 0.5 for n in counts]
    within = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    offsets = within @ grid.affine_kji_to_lps_mm[:3, :3].T
    rays = body.rays((points_mm[:, None] + offsets).reshape(-1, 3))
    inside = rays.distance_mm < rays.radius_mm
    core = inside & (rays.distance_mm >= rays.core_from_mm) & (rays.distance_mm < rays.core_to_mm)
    shape = (len(points_mm), len(within))
    core_share = core.reshape(shape).mean(axis=1, dtype=np.float32)
    return inside.reshape(shape).mean(axis=1, dtype=np.float32) - core_share, core_share


def box_around(centre_lps_mm: Points, reach_mm: float, grid: Grid) -> Box:
    """Return the slices of a grid that hold a ball, cut off at the grid's edges."""
    centre = grid.to_index_kji(centre_lps_mm)
    reach = reach_mm * np.linalg.norm(np.linalg.inv(grid.affine_kji_to_lps_mm)[:3, :3], axis=1) + 1
    first = np.maximum(np.floor(centre - reach), 0).astype(int)
    stop = np.maximum(np.minimum(np.ceil(centre + reach) + 1, grid.shape_kji), 0).astype(int)
    return slice(first[0], stop[0]), slice(first[1], stop[1]), slice(first[2], stop[2])
