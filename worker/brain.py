"""Brain extraction: where is the brain, on the analysis grid? A stage that can be replaced."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy import ndimage

from core.errors import UnsuitableReason, UnsuitableStudy
from core.geometry import Grid
from worker.axes import from_axes, to_axes
from worker.boxes import Box, bounding_box, paste
from worker.model_set import BrainExtractionSpec, ModelSet
from worker.resampling import resample_linear
from worker.sessions import Engine, Network

SMOOTHING_PER_SPACING = 0.425
"""Gaussian sigma over the distance of the samples: full width at half maximum of one sample distance."""

HEAD_FRACTION = 0.1
"""Share of the 99th percentile above which a smoothed voxel is head: above ghosting and air noise."""

MIN_HEAD_VOLUME_MM3 = 500_000.0
"""Half a litre; a smaller object is not a head, and an empty image has none."""

SPARSE_STEP = 2
"""The head is looked for in every second voxel: 2 mm tell where the cube goes."""

CONTINUATION_MM = 24.0
"""How far a head cut off by the scan is continued for the network, with its end slice.

The network draws scalp and skull, 15 mm or more, under the end of what it sees; this keeps that beyond the
cut. Six samples at 4 mm, for which it was chosen. At 2 mm half of it did better under a cut through the
lower brain, but the released figures were measured with this. A head that ends in air is continued with air.
"""

CUT_AREA_MM2 = 4_000.0
"""Head in an end slice over more than this: the scan cut it.

The first slice of a vertex shows at most 2,500 mm2 even at 5 mm; a cut that reaches the brain shows 6,000.
"""


class BrainExtraction(Protocol):
    """Finds the brain in a head."""

    def __call__(self, head_kji: NDArray[np.float32], grid: Grid) -> NDArray[np.bool_]:
        """Return the brain mask of a T1-weighted head, with or without contrast.

        Parameters
        ----------
        head_kji
            Shape of ``grid``, any intensity unit.
        grid
            A canonical grid: k towards Superior, j towards Posterior, i towards Left.

        Raises
        ------
        UnsuitableStudy
            There is no brain in the image.
        """


class NetworkBrainExtraction:
    """The released network: a coarse U-Net over a cube laid on the head."""

    def __init__(self, spec: BrainExtractionSpec, network: Network) -> None:
        self._spec = spec
        self._network = network

    @classmethod
    def load(cls, model_set: ModelSet, engine: Engine) -> NetworkBrainExtraction:
        """Create the session; call it in the process that will use it."""
        spec = model_set.manifest.brain_extraction
        return cls(spec, Network(model_set.folder / spec.file, engine, batch=1))

    def __call__(self, head_kji: NDArray[np.float32], grid: Grid) -> NDArray[np.bool_]:
        """Return the brain mask on ``grid``; see ``BrainExtraction``."""
        ends = signal_ends(head_kji, grid)
        whole_kji, whole_grid = _continue_head(head_kji, grid, ends)
        smooth_kji = _smooth(whole_kji, whole_grid, self._spec.spacing_mm)
        cube = _lay_cube(smooth_kji, whole_grid, self._spec)
        image = _scale(resample_linear(smooth_kji, whole_grid, cube), self._spec)
        probability = from_axes(self._run(to_axes(image, self._spec.axes)), self._spec.axes)
        solid = _keep_one_solid(probability, self._spec.threshold)
        mask = _resample_mask(solid, cube, grid, self._spec.threshold)
        mask[: ends[0]] = mask[ends[1] + 1 :] = False
        return mask

    def _run(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        output = self._network.run(np.ascontiguousarray(image)[None, None])
        return np.asarray(output[0, 0])


def dilate(mask_kji: NDArray[np.bool_], grid: Grid, margin_mm: float) -> NDArray[np.bool_]:
    """Grow a mask by a distance in mm."""
    radius_ijk = [round(margin_mm / spacing) for spacing in grid.spacing_kji_mm[::-1]]
    image = SimpleITK.GetImageFromArray(mask_kji.astype(np.uint8))
    dilated = SimpleITK.BinaryDilate(image, radius_ijk, SimpleITK.sitkBall)
    return np.asarray(SimpleITK.GetArrayFromImage(dilated), dtype=np.bool_)


def signal_ends(head_kji: NDArray[np.float32], grid: Grid, axis: int = 0) -> tuple[int, int]:
    """Return the outermost slices the head was cut at, or else the first and the last of the axis.

    Distortion correction and reformatting leave slices of zeros beyond the slice the scan ended with.
    """
    areas = np.count_nonzero(head_kji > _head_threshold(head_kji), axis=_others(axis))
    areas_mm2 = areas * grid.voxel_volume_mm3 / grid.spacing_kji_mm[axis]
    signal = np.flatnonzero(head_kji.any(axis=_others(axis)))
    last = len(areas_mm2) - 1
    if signal.size == 0:
        return 0, last
    first_signal, last_signal = int(signal[0]), int(signal[-1])
    return (
        first_signal if areas_mm2[first_signal] > CUT_AREA_MM2 else 0,
        last_signal if areas_mm2[last_signal] > CUT_AREA_MM2 else last,
    )


def _head_threshold(head_kji: NDArray[np.float32]) -> float:
    """Return the intensity above which a voxel is head; a part of the voxels tells as much as all."""
    return HEAD_FRACTION * float(np.percentile(head_kji[::SPARSE_STEP, ::SPARSE_STEP, ::SPARSE_STEP], 99))


def _others(axis: int) -> tuple[int, ...]:
    return tuple(n for n in range(3) if n != axis)


def _continue_head(
    head_kji: NDArray[np.float32], grid: Grid, ends: tuple[int, int]
) -> tuple[NDArray[np.float32], Grid]:
    """Continue a head cut at the top or bottom, so that the network does not take the cut for the skull."""
    first, last = ends
    margin = round(CONTINUATION_MM / grid.spacing_kji_mm[0])
    slices = head_kji.shape[0]
    padding = ((first + margin, slices - 1 - last + margin), (0, 0), (0, 0))
    continued = np.pad(head_kji[first : last + 1], padding, mode="edge")
    affine = grid.affine_kji_to_lps_mm.copy()
    affine[:3, 3] = grid.to_lps_mm((-margin, 0, 0))
    return continued, Grid((slices + 2 * margin, *grid.shape_kji[1:]), affine)


def _smooth(head_kji: NDArray[np.float32], grid: Grid, sample_distance_mm: float) -> NDArray[np.float32]:
    sigmas = [SMOOTHING_PER_SPACING * sample_distance_mm / spacing for spacing in grid.spacing_kji_mm]
    return np.asarray(ndimage.gaussian_filter(head_kji, sigmas, truncate=3.0), dtype=np.float32)


def _lay_cube(smooth_kji: NDArray[np.float32], grid: Grid, spec: BrainExtractionSpec) -> Grid:
    """Centre the cube on the head in i and j, its top above the head's top."""
    head = _head_box(smooth_kji, grid, spec.cube_voxels * spec.spacing_mm)
    spacing_kji_mm = np.array(grid.spacing_kji_mm)
    # Edges of the head, half a voxel beyond the centres of its outermost voxels.
    low = np.array(head.origin) - 0.5
    high = low + head.extent
    reach = (spec.cube_voxels - 1) * spec.spacing_mm / spacing_kji_mm
    top = high + (spec.top_margin_mm - spec.spacing_mm / 2) / spacing_kji_mm
    centred = (low + high - reach) / 2
    affine = np.eye(4)
    affine[:3, :3] = grid.directions_lps * spec.spacing_mm
    affine[:3, 3] = grid.to_lps_mm((top[0] - reach[0], centred[1], centred[2]))
    return Grid((spec.cube_voxels,) * 3, affine)


def _head_box(smooth_kji: NDArray[np.float32], grid: Grid, cube_mm: float) -> Box:
    """Return the box around the head; what lies below the cube (neck, shoulders) is left out.

    Looked for in every second voxel: its edges are uncertain by one.
    """
    sparse_kji = smooth_kji[::SPARSE_STEP, ::SPARSE_STEP, ::SPARSE_STEP]
    head = sparse_kji > _head_threshold(smooth_kji)
    if np.count_nonzero(head) * SPARSE_STEP**3 * grid.voxel_volume_mm3 < MIN_HEAD_VOLUME_MM3:
        raise UnsuitableStudy(
            UnsuitableReason.NO_BRAIN_FOUND, "the T1-post series shows nothing as large as a head"
        )
    head = _largest_component(head)
    top = int(np.flatnonzero(head.any(axis=(1, 2)))[-1])
    lowest = max(top + 1 - round(cube_mm / (SPARSE_STEP * grid.spacing_kji_mm[0])), 0)
    box = bounding_box(head[lowest:])
    origin = (box.origin[0] + lowest, *box.origin[1:])
    return Box(tuple(SPARSE_STEP * n for n in origin), tuple(SPARSE_STEP * n for n in box.extent))


def _scale(image: NDArray[np.float32], spec: BrainExtractionSpec) -> NDArray[np.float32]:
    foreground = image[image > spec.foreground_fraction * image.max()]
    low, high = np.percentile(foreground, spec.percentiles)
    scaled = (image - low) / max(high - low, np.finfo(np.float32).tiny)
    return np.asarray(np.clip(scaled, *spec.clip), dtype=np.float32)


def _keep_one_solid(probability: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    """Drop all but the largest piece of brain, and give its enclosed holes probability 1.

    A large enhancing or necrotic lesion is still inside the brain.
    """
    found = probability >= threshold
    brain = _largest_component(found)
    kept = np.where(found & ~brain, 0, probability)
    return np.where(ndimage.binary_fill_holes(brain) & ~brain, 1, kept).astype(np.float32)


def _resample_mask(
    probability: NDArray[np.float32], cube: Grid, grid: Grid, threshold: float
) -> NDArray[np.bool_]:
    """Resample linearly around the brain only, then apply the threshold."""
    found = probability >= threshold
    if not found.any():
        return np.zeros(grid.shape_kji, dtype=np.bool_)
    box = bounding_box(found)
    corners = np.array([np.array(box.origin) - 1, np.array(box.origin) + box.extent])
    low, high = (cube.to_lps_mm(corner) for corner in corners)
    low_kji = np.floor(grid.to_index_kji(low)).astype(int)
    extent = np.ceil(grid.to_index_kji(high)).astype(int) + 1 - low_kji
    affine = grid.affine_kji_to_lps_mm.copy()
    affine[:3, 3] = grid.to_lps_mm(low_kji)
    part = resample_linear(probability, cube, Grid(tuple(extent.tolist()), affine)) >= threshold
    return paste(part, Box(tuple(low_kji.tolist()), tuple(extent.tolist())), grid.shape_kji)


def _largest_component(mask_kji: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, count = ndimage.label(mask_kji)
    if count <= 1:
        return mask_kji
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())
