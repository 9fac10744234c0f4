"""Rigid motion and smooth distortion of a volume by a few voxels at most, one axis after another."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from phantom.fields import Floats, Shape
from phantom.scanner import rotation_about

Matrix = NDArray[np.float64]

Line = TypeVar("Line", NDArray[np.float32], NDArray[np.int32])

SLAB = 4
"""Slices worked on at a time: what they need stays in the processor's cache."""


def rigid_about_centre(
    shape_kji: Shape, axis_kji: Matrix, angle_deg: float, translation_voxels: Matrix
) -> Matrix:
    """Return the 4 x 4 matrix from an index to where it is taken from: a turn about the centre, a shift."""
    centre = (np.array(shape_kji) - 1) / 2
    rotation = rotation_about(axis_kji, angle_deg)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = centre + translation_voxels - rotation @ centre
    return matrix


def displace(
    volume: Floats, rigid: Matrix, order: int, distortion: tuple[Floats | None, Floats | None, Floats | None]
) -> Floats:
    """Take every voxel from where a rigid matrix and a distortion point.

    One axis is resampled after another. Against a resampling in three dimensions the place is off by the
    displacement times its gradient: 0.02 voxels for a turn of 0.7 degrees and a shift of 1 voxel.

    Parameters
    ----------
    volume
        float32 (k, j, i).
    rigid
        4 x 4, from an index to the index it is taken from.
    order
        1 linear, 3 cubic convolution (Keys 1981).
    distortion
        Displacement in voxels along each axis beside that of ``rigid``.
    """
    for axis in range(3):
        shift = _Shift(rigid[axis] - np.eye(4)[axis], distortion[axis])
        moved = np.empty_like(volume)
        across = 1 if axis == 0 else 0
        for start in range(0, volume.shape[across], SLAB):
            slab = (slice(None),) * across + (slice(start, start + SLAB),)
            values = np.ascontiguousarray(volume[slab])
            moved[slab] = _resample(values, shift.over(slab, volume.shape), axis, order)
        volume = moved
    return volume


class _Shift:
    """Displacement along one axis: linear in the index, plus a field."""

    def __init__(self, linear: Matrix, field: Floats | None) -> None:
        self._linear = linear
        self._field = field

    def over(self, slab: tuple[slice, ...], shape: Shape) -> Floats:
        slices = slab + (slice(None),) * (3 - len(slab))
        total: Floats = np.full((1, 1, 1), self._linear[3], dtype=np.float32)
        for axis in range(3):
            index = np.arange(shape[axis])[slices[axis]]
            total = total + _along(np.float32(self._linear[axis]) * index.astype(np.float32), axis)
        return total if self._field is None else total + self._field[slab]


def _resample(values: Floats, shift: Floats, axis: int, order: int) -> Floats:
    """Take each voxel of a contiguous array ``shift`` voxels further along an axis; edges are held."""
    size = values.shape[axis]
    before, after = (0, 1) if order == 1 else (1, 2)
    position = shift + _along(np.arange(size, dtype=np.float32), axis)
    np.clip(position, before, size - 1 - after - 1e-3, out=position)
    base = position.astype(np.int32)
    position -= base
    strides = [stride // values.itemsize for stride in values.strides]
    base *= strides[axis]
    for other in range(3):
        if other != axis:
            base += _along(np.arange(values.shape[other], dtype=np.int32) * np.int32(strides[other]), other)
    total = np.zeros(values.shape, dtype=np.float32)
    for tap, weight in zip(range(-before, after + 1), _weights(position, order), strict=True):
        total += weight * np.take(values.reshape(-1), base + np.int32(tap * strides[axis]))
    return total


def _weights(t: Floats, order: int) -> tuple[Floats, ...]:
    if order == 1:
        return 1 - t, t
    s = 1 - t
    half = np.float32(0.5)
    outer, opposite = -half * t * s, half * t * s
    return (
        outer * s,
        s + opposite * (s - t) + opposite * s,
        t + opposite * (t - s) + opposite * t,
        outer * t,
    )


def _along(values: Line, axis: int) -> Line:
    shape = [1, 1, 1]
    shape[axis] = -1
    return values.reshape(shape)
