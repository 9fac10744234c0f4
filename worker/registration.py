"""Rigid registration of T1 onto T1-post: six degrees of freedom, mutual information, coarse to fine."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its own documentation's name
from numpy.typing import NDArray
from scipy import ndimage

from core.geometry import Grid
from core.lesion import RegistrationQuality
from worker.resampling import resample_linear
from worker.volumes import Volume

HEAD_RADIUS_MM = 100.0
"""Makes radians and millimetres comparable: a turn moves the scalp by its angle times this."""

HEAD_PERCENTILE = 60.0
"""Voxels above it are taken as head for the centre of mass; about 40 % of a head scan is tissue."""

START_ANGLES_DEG = (-20.0, 0.0, 20.0)
"""Turns tried about each axis: 27 starts, cheap to rank on the coarsest level."""

WIDE_START_ANGLES_DEG = (-40.0, -20.0, 0.0, 20.0, 40.0)
"""Turns tried when the first attempt is poor: 125 starts."""

COARSE_STARTS = 6
"""How many of the ranked turns are optimised on the coarsest level."""

FINE_STARTS = 3
"""How many coarse results are optimised further; two did not suffice for every pair of the benchmark."""

POOR_CORRELATION = 0.4
"""Below this the result is flagged and more starts are tried."""

FAILED_CORRELATION = 0.35
"""Below it T1 is left out. Another head 0.21 to 0.31, fat suppressed in one scan 0.54, else 0.64 to 0.97."""

MAX_ROTATION_DEG = 60.0
"""A larger turn between two scans of one session is not believed (30 degrees about each axis come to 52)."""

MAX_TRANSLATION_MM = 100.0
"""A larger shift of the head's centre, from the nearer start, is not believed (3 x 40 mm come to 69)."""

QUALITY_SPACING_MM = 2.0
"""Resolution at which the registered images are compared."""

QUALITY_WINDOW_VOXELS = 7
"""Side of the window of the local correlation, 14 mm: several sulci, little of the bias field."""

HEAD_FRACTION = 0.15
"""Share of the 99th percentile above which a voxel is head when images are compared."""

MIN_COMPARED_VOXELS = 1000
"""Fewer voxels inside both images (8 mL) say nothing about a head."""

SAMPLING_SEED = 7


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the pyramid: resolution, sample count and step lengths of the optimiser."""

    spacing_mm: float
    samples: int | None
    first_step_mm: float
    last_step_mm: float
    iterations: int


COARSE = Level(spacing_mm=8.0, samples=None, first_step_mm=8.0, last_step_mm=0.05, iterations=80)
MIDDLE = Level(spacing_mm=4.0, samples=30_000, first_step_mm=8.0, last_step_mm=0.03, iterations=60)
FINE = Level(spacing_mm=1.0, samples=30_000, first_step_mm=1.0, last_step_mm=0.005, iterations=60)
"""Smaller first steps stopped up to 0.8 mm short of the optimum on heads turned by 30 degrees."""


@dataclass(frozen=True, eq=False)
class RegistrationResult:
    """Where T1-post's anatomy lies in T1.

    Parameters
    ----------
    t1_post_to_t1_lps
        4 x 4, rigid; maps a T1-post point (LPS mm) to the same anatomy in T1 (LPS mm).
    quality
        ``succeeded`` is False when the transform must not be used.
    """

    t1_post_to_t1_lps: NDArray[np.float64]
    quality: RegistrationQuality


def register(t1_post: Volume, t1: Volume, threads: int = 2) -> RegistrationResult:
    """Find the rigid transform between both scans; a failure is reported, not raised.

    Parameters
    ----------
    t1_post
        Fixed image.
    t1
        Moving image; position and orientation up to 30 degrees and 40 mm per axis away.
    threads
        Starts optimised at the same time; the result does not depend on it.
    """
    with _single_threaded_itk(), ThreadPoolExecutor(threads) as pool:
        aligner = _Aligner(_to_image(t1_post), _to_image(t1), pool)
        first = _judge(t1_post, t1, aligner.align(START_ANGLES_DEG), aligner.shift_mm)
        if first.quality.succeeded and first.quality.correlation >= POOR_CORRELATION:
            return first
        second = _judge(t1_post, t1, aligner.align(WIDE_START_ANGLES_DEG), aligner.shift_mm)
    return max(first, second, key=lambda result: (result.quality.succeeded, result.quality.correlation))


@contextmanager
def _single_threaded_itk() -> Iterator[None]:
    """Let ITK sum in one order, so that a retry finds the same transform; starts run in parallel instead.

    The setting belongs to the process: ITK offers no other that its metric heeds.
    """
    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


class _Aligner:
    """Optimises transforms between two images over a pyramid made once."""

    def __init__(self, fixed: sitk.Image, moving: sitk.Image, pool: ThreadPoolExecutor) -> None:
        self._pyramid = {
            level: (_shrink(fixed, level.spacing_mm), _shrink(moving, level.spacing_mm))
            for level in (COARSE, MIDDLE, FINE)
        }
        self._pool = pool
        coarse_fixed, coarse_moving = self._pyramid[COARSE]
        self._centre = _centre_of_mass(coarse_fixed)
        self.shift_mm = _centre_of_mass(coarse_moving) - self._centre

    def align(self, start_angles_deg: Sequence[float]) -> sitk.Euler3DTransform:
        """Rank the starts, optimise the best of them coarse to fine, return the best."""
        turned = [self._start(turn, self.shift_mm) for turn in itertools.product(start_angles_deg, repeat=3)]
        # The scanner's own geometry and centre of mass on centre of mass always take part.
        nearby = [self._start((0, 0, 0), np.zeros(3)), self._start((0, 0, 0), self.shift_mm)]
        starts = nearby + self._best(turned, COARSE, COARSE_STARTS)
        coarse = self._best(self._optimise_all(starts, COARSE), COARSE, FINE_STARTS)
        (middle,) = self._best(self._optimise_all(coarse, MIDDLE), MIDDLE, 1)
        return self._optimise(middle, FINE)

    def _best(
        self, transforms: Sequence[sitk.Euler3DTransform], level: Level, count: int
    ) -> list[sitk.Euler3DTransform]:
        costs = list(self._pool.map(lambda transform: self._cost(transform, level), transforms))
        return [transforms[n] for n in np.argsort(costs, kind="stable")[:count]]

    def _optimise_all(
        self, starts: Sequence[sitk.Euler3DTransform], level: Level
    ) -> list[sitk.Euler3DTransform]:
        return list(self._pool.map(lambda start: self._optimise(start, level), starts))

    def _start(self, turn_deg: Sequence[float], shift_mm: NDArray[np.float64]) -> sitk.Euler3DTransform:
        transform = sitk.Euler3DTransform()
        transform.SetCenter(self._centre.tolist())
        transform.SetRotation(*np.deg2rad(turn_deg).tolist())
        transform.SetTranslation(shift_mm.tolist())
        return transform

    def _cost(self, transform: sitk.Euler3DTransform, level: Level) -> float:
        method = self._method(level)
        method.SetInitialTransform(transform)
        try:
            return float(method.MetricEvaluate(*self._pyramid[level]))
        except RuntimeError:  # ITK's way to say that the images do not overlap
            return float("inf")

    def _optimise(self, start: sitk.Euler3DTransform, level: Level) -> sitk.Euler3DTransform:
        method = self._method(level)
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=level.first_step_mm, minStep=level.last_step_mm, numberOfIterations=level.iterations
        )
        method.SetOptimizerScales([HEAD_RADIUS_MM**2] * 3 + [1.0] * 3)
        transform = sitk.Euler3DTransform(start)
        method.SetInitialTransform(transform, inPlace=True)
        try:
            method.Execute(*self._pyramid[level])
        except RuntimeError:
            return start
        return transform

    def _method(self, level: Level) -> sitk.ImageRegistrationMethod:
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=32)
        # Whole-image gradients cost more than the optimisation; finite differences at the samples do.
        method.MetricUseFixedImageGradientFilterOff()
        method.MetricUseMovingImageGradientFilterOff()
        method.SetInterpolator(sitk.sitkLinear)
        voxels = self._pyramid[level][0].GetNumberOfPixels()
        if level.samples is not None and level.samples < voxels:
            method.SetMetricSamplingStrategy(method.REGULAR)
            method.SetMetricSamplingPercentage(level.samples / voxels, SAMPLING_SEED)
        return method


def _to_image(volume: Volume) -> sitk.Image:
    grid = volume.grid
    image = sitk.GetImageFromArray(volume.voxels_kji)
    image.SetOrigin(grid.affine_kji_to_lps_mm[:3, 3].tolist())
    image.SetSpacing(grid.spacing_kji_mm[::-1])
    image.SetDirection(grid.directions_lps[:, ::-1].ravel().tolist())
    return image


def _shrink(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    factors = [
        int(np.clip(round(spacing_mm / spacing), 1, size))
        for spacing, size in zip(image.GetSpacing(), image.GetSize(), strict=True)
    ]
    shrunk: sitk.Image = sitk.BinShrink(image, factors)
    return shrunk


def _centre_of_mass(image: sitk.Image) -> NDArray[np.float64]:
    voxels_kji = sitk.GetArrayViewFromImage(image)
    head = voxels_kji > np.percentile(voxels_kji, HEAD_PERCENTILE)
    if not head.any():
        head = np.ones_like(head)
    index_kji = np.argwhere(head).mean(axis=0)
    return np.array(image.TransformContinuousIndexToPhysicalPoint(index_kji[::-1].tolist()))


def _judge(
    t1_post: Volume, t1: Volume, transform: sitk.Euler3DTransform, centres_shift_mm: NDArray[np.float64]
) -> RegistrationResult:
    matrix = np.eye(4)
    rotation = np.array(transform.GetMatrix()).reshape(3, 3)
    centre, shift = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    matrix[:3, :3] = rotation
    matrix[:3, 3] = centre + shift - rotation @ centre
    correlation = local_correlation(t1_post, t1, matrix)
    rotation_deg = float(np.rad2deg(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))
    translation_mm = float(np.linalg.norm(shift))
    residual_mm = min(translation_mm, float(np.linalg.norm(shift - centres_shift_mm)))
    plausible = rotation_deg <= MAX_ROTATION_DEG and residual_mm <= MAX_TRANSLATION_MM
    succeeded = plausible and correlation >= FAILED_CORRELATION
    quality = RegistrationQuality(succeeded, correlation, rotation_deg, translation_mm)
    return RegistrationResult(matrix, quality)


def local_correlation(t1_post: Volume, t1: Volume, t1_post_to_t1_lps: NDArray[np.float64]) -> float:
    """Compare both scans inside the head after registration.

    Returns
    -------
    float
        Mean squared correlation of both images over windows of 14 mm, 0..1; 0 without overlap.
    """
    grid, fixed = _coarsen(t1_post)
    t1_grid, moving = _coarsen(t1)
    moved = resample_linear(moving, t1_grid, grid, target_to_source_lps=t1_post_to_t1_lps, outside=np.nan)
    covered = np.isfinite(moved)
    compared = covered & (fixed > HEAD_FRACTION * np.percentile(fixed, 99))
    if np.count_nonzero(compared) < MIN_COMPARED_VOXELS:
        return 0.0
    squared = _squared_correlation(fixed, np.where(covered, moved, 0).astype(np.float32))
    return float(squared[compared].mean())


def _coarsen(volume: Volume) -> tuple[Grid, NDArray[np.float32]]:
    image = _shrink(_to_image(volume), QUALITY_SPACING_MM)
    affine = np.eye(4)
    spacing_kji = np.array(image.GetSpacing())[::-1]
    affine[:3, :3] = volume.grid.directions_lps * spacing_kji
    affine[:3, 3] = image.GetOrigin()
    columns, rows, slices = image.GetSize()
    return Grid((slices, rows, columns), affine), sitk.GetArrayFromImage(image)


def _squared_correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(ndimage.uniform_filter(values, QUALITY_WINDOW_VOXELS, mode="nearest"))

    a, b = _unit_variance(a), _unit_variance(b)
    mean_a, mean_b = mean(a), mean(b)
    covariance = mean(a * b) - mean_a * mean_b
    variance_a, variance_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    floor = np.float32(1e-4)  # of the image's variance: flat windows have no correlation to speak of
    return np.asarray(np.clip(covariance**2 / ((variance_a + floor) * (variance_b + floor)), 0, 1))


def _unit_variance(values: NDArray[np.float32]) -> NDArray[np.float32]:
    deviation = np.float32(values.std())
    return values / deviation if deviation > 0 else values
