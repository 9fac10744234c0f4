"""The analysis grid: isotropic, along T1-post's own axes, in the order nearest to (S, P, L)."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from core.geometry import Grid

SUPERIOR_POSTERIOR_LEFT = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
"""Columns are the LPS directions in which k, j and i of a canonical grid increase."""


def canonical_grid(source: Grid, spacing_mm: float) -> Grid:
    """Lay an isotropic grid over a scan's field of view without turning it.

    The axes are the source's own, permuted and flipped so that k increases towards Superior,
    j towards Posterior and i towards Left as nearly as they can: resampling then never rotates.
    """
    order, signs = nearest_axes(source)
    directions = source.directions_lps[:, order] * signs
    extents_mm = (np.array(source.shape_kji) * source.spacing_kji_mm)[list(order)]
    counts = np.maximum(np.rint(extents_mm / spacing_mm), 1).astype(int)
    centre_lps_mm = source.to_lps_mm((np.array(source.shape_kji) - 1) / 2)
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing_mm
    affine[:3, 3] = centre_lps_mm - affine[:3, :3] @ ((counts - 1) / 2)
    slices, rows, columns = counts.tolist()
    return Grid((slices, rows, columns), affine)


def nearest_axes(source: Grid) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Return which source axis becomes k, j and i, and the sign with which it does."""
    cosines = SUPERIOR_POSTERIOR_LEFT.T @ source.directions_lps
    k, j, i = max(
        itertools.permutations(range(3)), key=lambda order: sum(abs(cosines[n, order[n]]) for n in range(3))
    )
    return (k, j, i), np.sign([cosines[0, k], cosines[1, j], cosines[2, i]])
