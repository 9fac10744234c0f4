"""The windows of the method: laid centred on the brain's bounding box, part of the method's definition."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.boxes import Box, bounding_box, crop


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """Which part of the volume is covered, and by which windows.

    Parameters
    ----------
    box
        The part covered; where it reaches beyond the volume there are zeros.
    windows
        Index of each window in an array of the box's extent; windows without brain are left out.
    """

    box: Box
    windows: tuple[tuple[slice, ...], ...]


def plan_windows(
    mask: NDArray[np.bool_], patch: tuple[int, int, int], stride: tuple[int, int, int]
) -> WindowPlan:
    """Cover a mask with windows.

    Along an axis on which the mask's box is L long there are n = ceil((L - patch) / stride) + 1
    windows (at least one), and their cover is centred on the box. Windows without a masked voxel
    only touch voxels that are zeroed afterwards, so leaving them out changes nothing.

    Parameters
    ----------
    mask
        Brain mask, axes as the members expect them; not empty.
    patch, stride
        In voxels along the same axes.
    """
    brain = bounding_box(mask)
    counts = [
        max(math.ceil((length - p) / s), 0) + 1
        for length, p, s in zip(brain.extent, patch, stride, strict=True)
    ]
    extent = tuple(p + (n - 1) * s for n, p, s in zip(counts, patch, stride, strict=True))
    origin = tuple(
        first + (length - covered) // 2
        for first, length, covered in zip(brain.origin, brain.extent, extent, strict=True)
    )
    box = Box(origin, extent)
    covered_mask = crop(mask, box)
    starts = itertools.product(*(range(0, n * s, s) for n, s in zip(counts, stride, strict=True)))
    windows = [tuple(slice(s, s + p) for s, p in zip(start, patch, strict=True)) for start in starts]
    return WindowPlan(box, tuple(window for window in windows if covered_mask[window].any()))
