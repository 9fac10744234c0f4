"""T1 and T1-post -> PreparedVolumes: registered, at 1 mm, subtracted, normalised inside the brain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from core.errors import UnsuitableReason, UnsuitableStudy
from core.geometry import Grid
from core.lesion import RegistrationQuality
from core.logs import logger
from core.study import AnalysisMode, QualityFlag
from worker.brain import BrainExtraction, dilate, signal_ends
from worker.canonical import canonical_grid, nearest_axes
from worker.model_set import InputSpec
from worker.registration import POOR_CORRELATION, register
from worker.resampling import resample_linear
from worker.subtraction import UnusableT1, subtract
from worker.volumes import SliceReference, SourceImages, Volume, load_volume

MIN_BRAIN_VOLUME_MM3 = 300_000.0
MAX_BRAIN_VOLUME_MM3 = 3_000_000.0
"""Outside 0.3 to 3 litres the organ found is no brain."""

PLAUSIBLE_BRAIN_VOLUME_MM3 = (700_000.0, 2_200_000.0)
"""Adult brains with their CSF; outside, the extraction deserves a look."""

THICK_SLICE_MM = 3.0
"""Thicker slices hide the lesions radiosurgery looks for; the paper's scans had at most 1.5 mm."""

TOUCHING_AREA_MM2 = 400.0
"""Brain in an end slice over more than 2 cm x 2 cm: the scan may be truncated or incomplete."""

MIN_T1_COVERAGE = 0.95
"""Share of the brain T1 must cover; beyond it the subtraction members would be blind."""

MAX_ANALYSIS_VOXELS = 400**3
"""Largest analysis grid: 40 cm along each axis at 1 mm, more than any coil sees of a head."""


@dataclass(frozen=True, eq=False)
class PreparedVolumes:
    """What the ensemble sees, on the analysis grid.

    Parameters
    ----------
    grid
        Canonical: 1 mm, k towards Superior, j towards Posterior, i towards Left.
    t1_post_kji, subtraction_kji
        float32, z-scored inside the mask, 0 outside; the subtraction is None without a usable T1.
    brain_mask_kji
        Brain, dilated.
    source_grid, source_slices
        Grid of the T1-post volume, and where its slices came from.
    registration
        None when no T1 was given.
    brain_volume_mm3
        Before dilation.
    flags
        Remarks for every result.
    """

    grid: Grid
    t1_post_kji: NDArray[np.float32]
    subtraction_kji: NDArray[np.float32] | None
    brain_mask_kji: NDArray[np.bool_]
    source_grid: Grid
    source_slices: tuple[SliceReference, ...]
    registration: RegistrationQuality | None
    brain_volume_mm3: float
    flags: tuple[QualityFlag, ...]

    @property
    def mode(self) -> AnalysisMode:
        """Which members can take part."""
        return AnalysisMode.T1_POST_ONLY if self.subtraction_kji is None else AnalysisMode.FULL


@dataclass(frozen=True, eq=False)
class _Scene:
    """T1-post on the analysis grid, its brain, and the brain dilated."""

    grid: Grid
    head_kji: NDArray[np.float32]
    brain_kji: NDArray[np.bool_]
    mask_kji: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Subtraction:
    """What T1 added, normalised: None without a usable T1, and then a flag says why."""

    voxels_kji: NDArray[np.float32] | None
    quality: RegistrationQuality | None
    flags: tuple[QualityFlag, ...]


def prepare(
    images: SourceImages, brain: BrainExtraction, input_spec: InputSpec, threads: int = 2
) -> PreparedVolumes:
    """Turn a study's datasets into the ensemble's input.

    Parameters
    ----------
    images
        T1-post, and T1 if there is a usable one.
    brain
        The brain extraction stage.
    input_spec
        What the members expect.
    threads
        Of the registration.

    Raises
    ------
    UnsuitableStudy
        Broken geometry or pixels of T1-post, no brain, no enhancement, the same images twice.
    """
    t1_post = load_volume(images.t1_post)
    _check_frame_of_reference(t1_post)
    t1 = _load_t1(images.t1)
    prepared = prepare_volumes(t1_post, t1, brain, input_spec, threads)
    if images.t1 is None or t1 is not None:
        return prepared
    return replace(prepared, flags=(*prepared.flags, QualityFlag.T1_UNUSABLE))


def prepare_volumes(
    t1_post: Volume, t1: Volume | None, brain: BrainExtraction, input_spec: InputSpec, threads: int = 2
) -> PreparedVolumes:
    """Do what ``prepare`` does, from volumes already loaded."""
    _check_not_identical(t1_post, t1)
    grid = canonical_grid(t1_post.grid, input_spec.spacing_mm)
    _check_field_of_view(grid)
    head_kji = resample_linear(t1_post.voxels_kji, t1_post.grid, grid)
    brain_kji = brain(head_kji, grid)
    brain_volume_mm3 = _measure_brain(brain_kji, grid)
    mask_kji = dilate(brain_kji, grid, input_spec.brain_dilation_mm)
    subtraction = _use_t1(_Scene(grid, head_kji, brain_kji, mask_kji), t1_post, t1, threads)
    return PreparedVolumes(
        grid=grid,
        t1_post_kji=_normalise(head_kji, mask_kji),
        subtraction_kji=subtraction.voxels_kji,
        brain_mask_kji=mask_kji,
        source_grid=t1_post.grid,
        source_slices=t1_post.slices,
        registration=subtraction.quality,
        brain_volume_mm3=brain_volume_mm3,
        flags=(
            *subtraction.flags,
            *_coverage_flags(head_kji, brain_kji, grid, t1_post.grid),
            *_brain_volume_flags(brain_volume_mm3),
        ),
    )


def _check_frame_of_reference(t1_post: Volume) -> None:
    if not t1_post.frame_of_reference_uid:
        raise UnsuitableStudy(
            UnsuitableReason.UNSUPPORTED_GEOMETRY,
            "the T1-post series has no FrameOfReferenceUID, expected the one the results are to refer to",
        )


def _load_t1(datasets: Sequence[Dataset] | None) -> Volume | None:
    """Load T1; a damaged one is left out, the study does not end with it."""
    if datasets is None:
        return None
    try:
        return load_volume(datasets)
    except UnsuitableStudy as error:
        logger().warning("T1 left out", reason=error.reason.value, message=error.message)
        return None


def _check_field_of_view(grid: Grid) -> None:
    voxels = math.prod(grid.shape_kji)
    if voxels > MAX_ANALYSIS_VOXELS:
        raise UnsuitableStudy(
            UnsuitableReason.UNSUPPORTED_GEOMETRY,
            f"the field of view takes {voxels} voxels of {grid.spacing_kji_mm[0]:g} mm, "
            f"expected at most {MAX_ANALYSIS_VOXELS}",
        )


def _check_not_identical(t1_post: Volume, t1: Volume | None) -> None:
    if t1 is not None and np.array_equal(t1.voxels_kji, t1_post.voxels_kji):
        raise UnsuitableStudy(
            UnsuitableReason.IDENTICAL_SERIES,
            "T1 and T1-post hold the same voxels, expected scans before and after contrast",
        )


def _measure_brain(brain_kji: NDArray[np.bool_], grid: Grid) -> float:
    volume_mm3 = float(np.count_nonzero(brain_kji) * grid.voxel_volume_mm3)
    if volume_mm3 == 0:
        raise UnsuitableStudy(UnsuitableReason.NO_BRAIN_FOUND, "no brain was found in the T1-post series")
    if not MIN_BRAIN_VOLUME_MM3 <= volume_mm3 <= MAX_BRAIN_VOLUME_MM3:
        raise UnsuitableStudy(
            UnsuitableReason.WRONG_ANATOMY,
            f"what looks most like a brain has {volume_mm3 / 1000:.0f} mL, expected "
            f"{MIN_BRAIN_VOLUME_MM3 / 1000:.0f} to {MAX_BRAIN_VOLUME_MM3 / 1000:.0f} mL",
        )
    return volume_mm3


def _use_t1(scene: _Scene, t1_post: Volume, t1: Volume | None, threads: int) -> _Subtraction:
    """Register T1, sample it once, straight onto the analysis grid, and subtract it."""
    without_t1 = QualityFlag.T1_POST_ONLY
    if t1 is None:
        return _Subtraction(None, None, (without_t1,))
    result = register(t1_post, t1, threads)
    if not result.quality.succeeded:
        return _Subtraction(None, result.quality, (without_t1, QualityFlag.REGISTRATION_FAILED))
    pre_kji = resample_linear(
        t1.voxels_kji, t1.grid, scene.grid, target_to_source_lps=result.t1_post_to_t1_lps, outside=np.nan
    )
    if np.isfinite(pre_kji[scene.mask_kji]).mean() < MIN_T1_COVERAGE:
        return _Subtraction(None, result.quality, (without_t1, QualityFlag.T1_COVERS_PART))
    try:
        difference_kji = subtract(
            scene.head_kji, pre_kji, scene.brain_kji, scene.mask_kji, result.quality.correlation
        )
    except UnusableT1 as error:
        logger().warning("T1 left out", message=str(error))
        return _Subtraction(None, result.quality, (without_t1, QualityFlag.T1_UNUSABLE))
    poor = result.quality.correlation < POOR_CORRELATION
    return _Subtraction(
        _normalise(difference_kji, scene.mask_kji & np.isfinite(pre_kji)),
        result.quality,
        (QualityFlag.REGISTRATION_POOR,) if poor else (),
    )


def _normalise(voxels_kji: NDArray[np.float32], mask_kji: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Give the masked voxels mean 0 and standard deviation 1, all others 0."""
    inside = voxels_kji[mask_kji].astype(np.float64)
    deviation = float(inside.std())
    if deviation == 0:
        raise UnsuitableStudy(UnsuitableReason.UNREADABLE_PIXELS, "the brain has a single grey value")
    normalised = np.zeros(voxels_kji.shape, dtype=np.float32)
    normalised[mask_kji] = (inside - inside.mean()) / deviation
    return normalised


def _coverage_flags(
    head_kji: NDArray[np.float32], brain_kji: NDArray[np.bool_], grid: Grid, source: Grid
) -> list[QualityFlag]:
    """Look at both ends of the source's slice stack, whichever axis it became."""
    order, signs = nearest_axes(source)
    axis = order.index(0)
    ends_mm2 = [
        np.count_nonzero(np.take(brain_kji, end, axis=axis)) * grid.spacing_kji_mm[0] ** 2
        for end in signal_ends(head_kji, grid, axis)[:: int(signs[axis])]
    ]
    flags = [QualityFlag.THICK_SLICES] if source.spacing_kji_mm[0] > THICK_SLICE_MM else []
    touched = (QualityFlag.BRAIN_TOUCHES_FIRST_SLICE, QualityFlag.BRAIN_TOUCHES_LAST_SLICE)
    return flags + [
        flag for flag, area_mm2 in zip(touched, ends_mm2, strict=True) if area_mm2 > TOUCHING_AREA_MM2
    ]


def _brain_volume_flags(brain_volume_mm3: float) -> list[QualityFlag]:
    low, high = PLAUSIBLE_BRAIN_VOLUME_MM3
    return [] if low <= brain_volume_mm3 <= high else [QualityFlag.IMPLAUSIBLE_BRAIN_VOLUME]
