"""Array axes named by letters (R, A, S ...) against the internal order (k, j, i) = (S, P, L)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)
"""Type of a voxel: what goes in comes out."""

INTERNAL_AXES = ("S", "P", "L")
"""Direction in which each axis of a canonical grid increases: k, j, i."""

OPPOSITES = {"R": "L", "L": "R", "A": "P", "P": "A", "S": "I", "I": "S"}


def to_axes(voxels_kji: NDArray[Scalar], axes: Sequence[str]) -> NDArray[Scalar]:
    """View internal voxels in another order, e.g. ("R", "A", "S")."""
    sources = [_internal_axis(code) for code in axes]
    flipped = [n for n, code in enumerate(axes) if code not in INTERNAL_AXES]
    view: NDArray[Scalar] = np.flip(voxels_kji.transpose(sources), tuple(flipped))
    return view


def from_axes(voxels: NDArray[Scalar], axes: Sequence[str]) -> NDArray[Scalar]:
    """View voxels in the given order as internal ones; undoes ``to_axes``."""
    sources = [_internal_axis(code) for code in axes]
    flipped = [n for n, code in enumerate(axes) if code not in INTERNAL_AXES]
    view: NDArray[Scalar] = np.flip(voxels, tuple(flipped)).transpose(np.argsort(sources))
    return view


def _internal_axis(code: str) -> int:
    return INTERNAL_AXES.index(code if code in INTERNAL_AXES else OPPOSITES[code])
