"""What the pages of an analysis are made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.geometry import Grid
from core.lesion import FindingsReport
from worker.canonical import nearest_axes
from worker.overview.sheet import RGB

Box = tuple[slice, slice, slice]

BLACK_PERCENTILE, WHITE_PERCENTILE = 1.0, 99.0
"""Of the head's voxels: air stays black, enhancement and fat reach white, a bright vessel decides nothing."""

HEAD_HEIGHT_MM = 170.0
"""From the vertex down to the foramen magnum and a little more: below lies the neck."""

SAMPLING = 2
"""Every second voxel along each axis is enough to find the window."""


@dataclass(frozen=True, eq=False)
class Overview:
    """An analysis to be shown.

    Parameters
    ----------
    report
        The measures.
    remarks
        Sentences a reader must know.
    t1_post_kji, label_map_kji
        Images, any scale, and lesions by number, on ``grid``.
    slice_names
        How a viewer of the source series counts slice k, such as "45".
    slice_word
        What it calls it: "image" or "frame".
    colours
        Colour of each lesion, in the order of the report.
    """

    report: FindingsReport
    remarks: tuple[str, ...]
    t1_post_kji: NDArray[np.float32]
    label_map_kji: NDArray[np.uint16]
    grid: Grid
    slice_names: tuple[str, ...]
    slice_word: str
    colours: tuple[RGB, ...]

    @cached_property
    def boxes(self) -> tuple[Box, ...]:
        """Where each lesion lies, in voxels."""
        return tuple(ndimage.find_objects(self.label_map_kji))

    @cached_property
    def head_box(self) -> Box:
        """Where the head lies without the neck, in voxels; the whole field where nothing stands out."""
        tissue = ndimage.median_filter(self._tissue, 3)
        found = ndimage.find_objects(tissue.astype(np.uint8))
        if not found or found[0] is None:
            return _whole(self.grid)
        box = [slice(s.start * SAMPLING, s.stop * SAMPLING) for s in found[0]]
        (axis, _, _), (sign, _, _) = nearest_axes(self.grid)
        length = round(HEAD_HEIGHT_MM / self.grid.spacing_kji_mm[axis])
        start, stop = box[axis].start, box[axis].stop
        box[axis] = (
            slice(max(start, stop - length), stop) if sign > 0 else slice(start, min(stop, start + length))
        )
        return box[0], box[1], box[2]

    @cached_property
    def window(self) -> tuple[float, float]:
        """Values to show as black and as white."""
        tissue = self._sampled[self._tissue]
        if tissue.size == 0:
            return 0.0, 1.0
        low, high = np.percentile(tissue, [BLACK_PERCENTILE, WHITE_PERCENTILE])
        return float(low) / 2, max(float(high), float(low) / 2 + 1e-6)

    @property
    def _sampled(self) -> NDArray[np.float32]:
        return self.t1_post_kji[::SAMPLING, ::SAMPLING, ::SAMPLING]

    @cached_property
    def _tissue(self) -> NDArray[np.bool_]:
        """What is brighter than the mean of head and air together."""
        return np.asarray(self._sampled > self._sampled.mean(dtype=np.float64))


def _whole(grid: Grid) -> Box:
    slices, rows, columns = grid.shape_kji
    return slice(0, slices), slice(0, rows), slice(0, columns)
