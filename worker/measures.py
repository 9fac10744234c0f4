"""Sizes of one lesion: volume, box, diameters and in-plane axes, voxel edges included."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist, squareform

from core.geometry import Grid
from core.lesion import Axis
from core.study import Vector

Points = NDArray[np.float64]

PARALLEL_TOLERANCE = 1e-9
"""A hull edge whose ends project closer than this share of the long axis has no single crossing point."""


@dataclass(frozen=True, slots=True)
class Size:
    """The measures of ``core.lesion.Lesion`` that follow from the voxels alone; units and frames as there."""

    volume_mm3: float
    centroid_lps_mm: Vector
    extent_min_lps_mm: Vector
    extent_max_lps_mm: Vector
    longest_diameter_mm: float
    slice_index_k: int
    long_axis: Axis
    short_axis: Axis


def measure(index_kji: NDArray[np.int64], grid: Grid) -> Size:
    """Measure a lesion.

    Parameters
    ----------
    index_kji
        (n, 3) indices of its voxels, n > 0.
    grid
        The grid they index.
    """
    centres = grid.to_lps_mm(index_kji)
    half_voxel = np.abs(grid.affine_kji_to_lps_mm[:3, :3]).sum(axis=1) / 2
    slice_index_k, long_axis, short_axis = measure_axes(index_kji, grid)
    return Size(
        volume_mm3=len(index_kji) * grid.voxel_volume_mm3,
        centroid_lps_mm=_vector(centres.mean(axis=0)),
        extent_min_lps_mm=_vector(centres.min(axis=0) - half_voxel),
        extent_max_lps_mm=_vector(centres.max(axis=0) + half_voxel),
        longest_diameter_mm=longest_diameter_mm(index_kji, grid),
        slice_index_k=slice_index_k,
        long_axis=long_axis,
        short_axis=short_axis,
    )


def longest_diameter_mm(index_kji: NDArray[np.int64], grid: Grid) -> float:
    """Return the longest distance between two corners of the voxels, in any direction."""
    corners = grid.to_lps_mm(_corners(_line_ends(index_kji)))
    outline = corners[ConvexHull(corners).vertices]
    return float(pdist(outline).max())


def measure_axes(index_kji: NDArray[np.int64], grid: Grid) -> tuple[int, Axis, Axis]:
    """Return the slice with the longest in-plane axis, that axis, and the longest one across it.

    The short axis is the longest chord at a right angle to the long one, of the outline's convex
    hull: both end on the hull, and neither depends on how a lesion is notched.
    """
    outlines = {int(k): _outline(index_kji[index_kji[:, 0] == k], grid) for k in np.unique(index_kji[:, 0])}
    ends = {k: _farthest_pair(outline) for k, outline in outlines.items()}
    k = max(ends, key=lambda k: float(np.linalg.norm(ends[k][1] - ends[k][0])))
    return k, _axis(ends[k]), _axis(_widest_chord(outlines[k], ends[k], grid))


def _outline(index_kji: NDArray[np.int64], grid: Grid) -> Points:
    """Return the corners (LPS mm) of the convex hull of one slice's pixels, in order."""
    ji = _line_ends(index_kji)[:, 1:]
    corners = np.unique(
        np.concatenate([ji + offset for offset in itertools.product((-0.5, 0.5), repeat=2)]), axis=0
    )
    hull = corners[ConvexHull(corners * np.array(grid.spacing_kji_mm[1:])).vertices]
    return grid.to_lps_mm(np.column_stack([np.full(len(hull), index_kji[0, 0]), hull]))


def _farthest_pair(points: Points) -> Points:
    distances = squareform(pdist(points))
    first, second = np.unravel_index(int(distances.argmax()), distances.shape)
    return np.asarray(points[[first, second]])


def _widest_chord(outline: Points, long_ends: Points, grid: Grid) -> Points:
    """Return the longest chord of a convex polygon at a right angle to its long axis.

    A convex polygon's width is a concave function of the place along the axis, so its greatest
    value is taken at one of the corners.
    """
    along = long_ends[1] - long_ends[0]
    length = float(np.linalg.norm(along))
    along = along / length
    across = np.cross(grid.directions_lps[:, 0], along)
    across /= np.linalg.norm(across)
    u = (outline - long_ends[0]) @ along
    v = (outline - long_ends[0]) @ across
    chords = [_crossings(u, v, place, length) for place in u]
    place, low, high = max(chords, key=lambda chord: chord[2] - chord[1])
    return np.asarray(long_ends[0] + place * along + np.outer((low, high), across))


def _crossings(
    u: NDArray[np.float64], v: NDArray[np.float64], place: float, length: float
) -> tuple[float, float, float]:
    """Return the place and the lowest and highest v of a closed polygon (u, v) there."""
    next_u, next_v = np.roll(u, -1), np.roll(v, -1)
    steep = np.abs(next_u - u) > PARALLEL_TOLERANCE * length
    share = np.divide(place - u, next_u - u, out=np.zeros_like(u), where=steep)
    crossed = steep & (share >= -PARALLEL_TOLERANCE) & (share <= 1 + PARALLEL_TOLERANCE)
    # The edges' own ends count too: they are all there is of an edge parallel to the chord.
    at_place = np.abs(u - place) <= PARALLEL_TOLERANCE * length
    found = np.concatenate([(v + share * (next_v - v))[crossed], v[at_place]])
    return place, float(found.min()), float(found.max())


def _line_ends(index_kji: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keep the first and last voxel of every line along i: the hull's corners are among them."""
    order = np.lexsort(index_kji.T[::-1])
    ordered = index_kji[order]
    new_line = np.any(np.diff(ordered[:, :2], axis=0) != 0, axis=1)
    first = np.concatenate([[True], new_line])
    last = np.concatenate([new_line, [True]])
    return np.asarray(ordered[first | last])


def _corners(index_kji: NDArray[np.int64]) -> Points:
    offsets = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
    corners: Points = np.unique((index_kji[:, None] + offsets).reshape(-1, 3), axis=0)
    return corners


def _axis(ends: Points) -> Axis:
    return Axis(_vector(ends[0]), _vector(ends[1]), float(np.linalg.norm(ends[1] - ends[0])))


def _vector(values: NDArray[np.float64]) -> Vector:
    x, y, z = (float(v) for v in values)
    return x, y, z
