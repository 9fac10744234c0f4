"""A part of a slice -> polygons along the edges of its voxels, with keyholes to what they leave out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Corner = tuple[int, int]
"""(row, column) of a voxel's corner nearest to the first voxel: half a voxel before its centre."""

_SIDES = (
    ((-1, 0), (0, 0), (0, 1)),
    ((0, 1), (0, 1), (1, 1)),
    ((1, 0), (1, 1), (1, 0)),
    ((0, -1), (1, 0), (0, 0)),
)
"""Neighbour beyond a voxel's side, and where the side starts and ends with the voxel on its right."""


def voxel_edge_polygons(part: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Return one closed polygon for each piece whose voxels share edges.

    Parameters
    ----------
    part
        Voxels of a slice, (rows, columns), none at its border.

    Returns
    -------
    list of (n, 2)
        Corners (row, column), voxel centres at whole numbers. What a piece encloses and is not of the part
        is joined to the outside by a way there and back (keyhole).
    """
    pieces, count = ndimage.label(part)
    return [_polygon(pieces == n) for n in range(1, count + 1)]


def _polygon(piece: NDArray[np.bool_]) -> NDArray[np.float64]:
    polygon, *holes = sorted(_loops(piece))  # the outer loop has the smallest corner of all
    for hole in holes:
        polygon = _with_keyhole(polygon, hole)
    return np.array(polygon, dtype=np.float64) - 0.5


def _loops(piece: NDArray[np.bool_]) -> list[list[Corner]]:
    """Return the closed ways along the edges, each from its smallest corner."""
    ends: dict[Corner, list[Corner]] = defaultdict(list)
    for start, end in _edges(piece):
        ends[start].append(end)
    loops = []
    while ends:
        loop = [min(ends)]
        corner = _leave(ends, loop[0], (0, 0))
        while corner != loop[0]:
            before = loop[-1]
            loop.append(corner)
            corner = _leave(ends, corner, before)
        loops.append(loop)
    return loops


def _edges(piece: NDArray[np.bool_]) -> Iterator[tuple[Corner, Corner]]:
    for j, i in np.argwhere(piece).tolist():
        for beyond, start, end in _SIDES:
            if not piece[j + beyond[0], i + beyond[1]]:
                yield (j + start[0], i + start[1]), (j + end[0], i + end[1])


def _leave(ends: dict[Corner, list[Corner]], corner: Corner, before: Corner) -> Corner:
    """Take the edge that leaves a corner; where two voxels meet at it, the one that turns right."""
    ways = ends[corner]
    down, right = corner[0] - before[0], corner[1] - before[1]
    turned = (corner[0] + right, corner[1] - down)
    way = turned if turned in ways else ways[0]
    ways.remove(way)
    if not ways:
        del ends[corner]
    return way


def _with_keyhole(outer: list[Corner], hole: list[Corner]) -> list[Corner]:
    """Go into the hole from the nearest corner, around it and back.

    Every corner of both is still there, so that the shortest way between two of them crosses no edge.
    """
    apart = np.linalg.norm(np.array(outer)[:, None] - np.array(hole)[None], axis=2)
    out, into = np.unravel_index(int(apart.argmin()), apart.shape)
    around = [*hole[into:], *hole[:into], hole[into]]
    return [*outer[: out + 1], *around, *outer[out:]]
