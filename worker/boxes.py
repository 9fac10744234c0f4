"""Boxes of voxels: the part of a volume that matters, cut out and put back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.axes import Scalar


@dataclass(frozen=True, slots=True)
class Box:
    """A box of voxels.

    Parameters
    ----------
    origin
        Its first voxel in the volume's indices; may lie outside the volume.
    extent
        Voxels along each axis.
    """

    origin: tuple[int, ...]
    extent: tuple[int, ...]


def bounding_box(mask: NDArray[np.bool_]) -> Box:
    """Return the smallest box around a mask that is not empty."""
    every_axis = range(mask.ndim)
    occupied = [
        np.flatnonzero(mask.any(axis=tuple(other for other in every_axis if other != axis)))
        for axis in every_axis
    ]
    return Box(tuple(int(n[0]) for n in occupied), tuple(int(n[-1] - n[0] + 1) for n in occupied))


def crop(volume: NDArray[Scalar], box: Box) -> NDArray[Scalar]:
    """Copy a box out of a volume, zero where it reaches beyond."""
    cut = np.zeros(box.extent, dtype=volume.dtype)
    inside, outside = _overlap(volume.shape, box)
    cut[inside] = volume[outside]
    return cut


def paste(cut: NDArray[Scalar], box: Box, shape: tuple[int, ...]) -> NDArray[Scalar]:
    """Put a box into a volume of zeros; undoes ``crop``."""
    volume = np.zeros(shape, dtype=cut.dtype)
    inside, outside = _overlap(shape, box)
    volume[outside] = cut[inside]
    return volume


def _overlap(shape: tuple[int, ...], box: Box) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    bounds = [(max(o, 0), min(o + e, n), o) for o, e, n in zip(box.origin, box.extent, shape, strict=True)]
    return (
        tuple(slice(low - o, high - o) for low, high, o in bounds),
        tuple(slice(low, high) for low, high, _ in bounds),
    )
