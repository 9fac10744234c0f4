"""Label map -> closed polygons, slice by slice, that enclose what the voxels enclose.

An outline runs between voxel centres: those of its part lie inside, all others outside, so that outlines of
lesions that do not touch never cross. Its area is that of the part's voxels, however small the part is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from contourpy import LineType, contour_generator
from numpy.typing import NDArray
from scipy import ndimage

from worker.voxel_edges import voxel_edge_polygons

SMOOTHING_VOXELS = 1.0
"""Standard deviation of the Gaussian that rounds the steps of a mask; more would cut off what is thin."""

MARGIN = 0.1
"""How far the smoothed mask is kept from the level at every voxel centre, as a share of its range: an
outline passes no centre, so that it never touches itself."""

LEVELS = (-1.0, 2.0)
"""Levels of the smoothed mask (0 to 1) between which the outline with the voxels' area lies: at the lower
one it passes near the outer centres, at the higher one near the inner ones."""

AREA_CLOSE_ENOUGH = 1e-4
"""Share of the area: a hundredth of the tolerance ends the search for the level."""

MOST_TRIALS = 24
"""Of levels: most searches end after ten; where the area jumps, some never do."""

AREA_TOLERANCE = 0.01
"""Share of the area. Where a level brings two corners together the area jumps; an outline that misses its
area for that is drawn along the voxel edges."""

CENTRE_TOLERANCE_VOXELS = 0.2
"""An outline that rounds a thin tail away moves its centre; by more than this, it is drawn along the voxel
edges too."""

COLLINEAR_VOXELS = 1e-3
"""A point nearer than this to the line through its neighbours says nothing."""

MOST_POINTS = 1500
"""Of one outline: three decimal strings a point stay below the 64 KiB of an explicit DS (PS3.5 7.1.2)."""

MOST_THINNING_VOXELS = 0.02
"""The tolerance is doubled up to this; all of them add up to twice as much, and no centre is passed."""

_PADDING = 3
"""Voxels around a part: the Gaussian has fallen to a hundredth there."""

_AND_DIAGONALS = np.ones((3, 3), dtype=bool)

Polygon = NDArray[np.float64]
"""Corners (row, column) in voxels, voxel centres at whole numbers, shape (n, 2); the last joins the first."""


@dataclass(frozen=True, eq=False)
class Outline:
    """One closed polygon on slice ``k``; ``points_ji`` are its corners (row, column), shape (n, 2)."""

    k: int
    points_ji: Polygon


def outline_lesions(label_map_kji: NDArray[np.uint16]) -> dict[int, tuple[Outline, ...]]:
    """Return the outlines of every lesion by its number, slice by slice.

    A part of a lesion that touches another lesion in its slice, be it only at a corner, is drawn along the
    voxel edges, which the two share. Where it encloses the other one, a keyhole leaves that out
    (PS3.3 C.8.8.6.1): no place belongs to two lesions.

    Parameters
    ----------
    label_map_kji
        0 is background, n the voxels of lesion n, filled.
    """
    outlines = {}
    for number, box in enumerate(ndimage.find_objects(label_map_kji), start=1):
        if box is not None:
            outlines[number] = tuple(_outlines(label_map_kji, number, box))
    return outlines


def polygon_area(points: Polygon) -> float:
    """Return the signed area of a polygon in voxels."""
    first, second = points.T
    return float(np.dot(first, np.roll(second, -1)) - np.dot(second, np.roll(first, -1))) / 2


def _outlines(labels_kji: NDArray[np.uint16], number: int, box: tuple[slice, ...]) -> Iterator[Outline]:
    k_range, *in_plane = box
    corner = np.array([edge.start - _PADDING for edge in in_plane])
    for k in range(k_range.start, k_range.stop):
        labels = np.pad(labels_kji[k], _PADDING)[
            tuple(slice(edge.start, edge.stop + 2 * _PADDING) for edge in in_plane)
        ]
        for polygon in _slice_polygons(labels, number):
            yield Outline(k, polygon + corner)


def _slice_polygons(labels: NDArray[np.uint16], number: int) -> Iterator[Polygon]:
    """Yield the polygons of a lesion in its part of a slice."""
    parts, count = ndimage.label(labels == number, structure=_AND_DIAGONALS)
    others = (labels != 0) & (labels != number)
    for n in range(1, count + 1):
        part = parts == n
        touches = bool((ndimage.binary_dilation(part, _AND_DIAGONALS) & others).any())
        yield from _drawn(part, touches=touches)


def _drawn(part: NDArray[np.bool_], *, touches: bool) -> list[Polygon]:
    """Return the outlines of a part; one too ragged for a single outline is drawn as two halves."""
    smooth = [] if touches else _smooth_polygons(part)
    polygons = [_thinned(polygon) for polygon in smooth or voxel_edge_polygons(part)]
    if all(len(polygon) <= MOST_POINTS for polygon in polygons):
        return polygons
    return [polygon for half in _halves(part) for polygon in _drawn(half, touches=True)]


def _halves(part: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Cut a part in two across the longer side of its box; the halves share the edge of the cut."""
    ji = np.argwhere(part)
    low, high = ji.min(axis=0), ji.max(axis=0)
    axis = int((high - low).argmax())
    is_before = np.indices(part.shape)[axis] <= (low[axis] + high[axis]) // 2
    return part & is_before, part & ~is_before


def _smooth_polygons(part: NDArray[np.bool_]) -> list[Polygon]:
    """Return sub-voxel outlines with the area of the part; nothing where there are none."""
    smoothed = ndimage.gaussian_filter(part.astype(float), SMOOTHING_VOXELS)
    polygons = _with_area(float(part.sum()), partial(_contours, smoothed, part))
    return polygons if _is_faithful(polygons, part) else []


def _with_area(area: float, contours_at: Callable[[float], list[Polygon]]) -> list[Polygon]:
    """Return the contours at the level where they enclose an area: false position, Illinois' way."""
    low, high = LEVELS
    over, under = (_area(contours_at(level)) / area - 1 for level in LEVELS)
    last = 0.0
    for _ in range(MOST_TRIALS):
        level = low + (high - low) * over / (over - under)
        polygons = contours_at(level)
        excess = _area(polygons) / area - 1
        if abs(excess) <= AREA_CLOSE_ENOUGH:
            break
        if excess > 0:
            low, over, under = level, excess, under / 2 if last > 0 else under
        else:
            high, under, over = level, excess, over / 2 if last < 0 else over
        last = excess
    return polygons


def _is_faithful(polygons: list[Polygon], part: NDArray[np.bool_]) -> bool:
    """Tell whether outlines have the area and the centre of a part."""
    voxels = np.argwhere(part)
    area = _area(polygons)
    off = sum(_moment(polygon) for polygon in polygons) / area - voxels.mean(axis=0)
    return bool(
        abs(area - len(voxels)) <= AREA_TOLERANCE * len(voxels)
        and np.linalg.norm(off) <= CENTRE_TOLERANCE_VOXELS
    )


def _contours(smoothed: NDArray[np.float64], part: NDArray[np.bool_], level: float) -> list[Polygon]:
    """Return the contours at a level, every voxel centre kept on its own side."""
    above = smoothed - level
    kept = np.where(part, np.maximum(above, MARGIN), np.minimum(above, -MARGIN))
    lines = contour_generator(z=kept, line_type=LineType.Separate).lines(0.0)
    return [np.asarray(line, dtype=np.float64)[:-1, ::-1] for line in lines]


def _area(polygons: list[Polygon]) -> float:
    return sum(abs(polygon_area(polygon)) for polygon in polygons)


def _moment(polygon: Polygon) -> NDArray[np.float64]:
    """Return a polygon's area times its centre (row, column), from the triangles with the first voxel."""
    following = np.roll(polygon, -1, axis=0)
    triangles = (polygon[:, 0] * following[:, 1] - polygon[:, 1] * following[:, 0]) / 2
    return np.asarray(np.sign(triangles.sum()) * (triangles @ (polygon + following)) / 3)


def _thinned(polygon: Polygon) -> Polygon:
    """Return a polygon without the points that say nothing; a long one also without those that say little."""
    tolerance = COLLINEAR_VOXELS
    thinned = _without_collinear(polygon, tolerance)
    while len(thinned) > MOST_POINTS and 2 * tolerance <= MOST_THINNING_VOXELS:
        tolerance *= 2
        thinned = _without_collinear(thinned, tolerance)
    return thinned


def _without_collinear(polygon: Polygon, tolerance: float) -> Polygon:
    """Drop points on the straight way between their neighbours, of two neighbours one at a time."""
    before = -1
    while len(polygon) != before:
        before = len(polygon)
        for parity in (0, 1):
            candidates = np.arange(len(polygon)) % 2 == parity
            drop = candidates & _on_the_way(polygon, tolerance)
            polygon = polygon[~drop] if len(polygon) - drop.sum() >= 3 else polygon
    return polygon


def _on_the_way(polygon: Polygon, tolerance: float) -> NDArray[np.bool_]:
    """Tell which points lie straight between their neighbours; the end of a way there and back does not."""
    to_point = polygon - np.roll(polygon, 1, axis=0)
    past_point = np.roll(polygon, -1, axis=0) - polygon
    chord = to_point + past_point
    off = np.abs(to_point[:, 0] * chord[:, 1] - to_point[:, 1] * chord[:, 0])
    straight_on = (to_point * past_point).sum(axis=1) > 0
    return np.asarray((off <= tolerance * np.linalg.norm(chord, axis=1)) & straight_on)
