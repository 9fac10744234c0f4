"""Preparing studies that come without skulls, or registered: as their files are, not as a scanner's."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.errors import UnsuitableReason, UnsuitableStudy
from core.geometry import Grid
from core.lesion import RegistrationQuality
from core.study import QualityFlag
from evaluation.cohorts.imported.study import ImportOptions
from worker.brain import BrainExtraction
from worker.model_set import InputSpec
from worker.preprocessing import MIN_T1_COVERAGE, PreparedVolumes, prepare_volumes
from worker.registration import POOR_CORRELATION, local_correlation
from worker.resampling import resample_linear
from worker.subtraction import UnusableT1, subtract
from worker.volumes import Volume

NEARLY_ZERO = 1e-3
"""Share of the brightest voxel up to which a voxel is background: interpolation spreads the brain's edge."""


class StrippedBrain:
    """A ``BrainExtraction`` for scans without a skull: the brain is what is not 0, and what it encloses."""

    def __call__(self, head_kji: NDArray[np.float32], grid: Grid) -> NDArray[np.bool_]:  # noqa: ARG002 - the protocol's
        """Return the brain mask; raise UnsuitableStudy when the scan has a background after all."""
        strength = np.abs(head_kji)
        inside = strength > NEARLY_ZERO * strength.max()
        if inside.all():
            raise UnsuitableStudy(
                UnsuitableReason.NO_BRAIN_FOUND,
                f"none of {head_kji.size} voxels is 0, expected a background of 0 around the brain "
                "(is the cohort skull_stripped?)",
            )
        return np.asarray(ndimage.binary_fill_holes(inside), dtype=np.bool_)


@dataclass(frozen=True)
class Preparation:
    """How the studies of one cohort are prepared.

    Parameters
    ----------
    brain
        The released network's, or ``StrippedBrain``.
    input_spec
        What the members expect; nothing is added around a brain that was cut out already.
    registered
        T1 is sampled where its own header says it lies.
    """

    brain: BrainExtraction
    input_spec: InputSpec
    registered: bool

    @classmethod
    def of(cls, options: ImportOptions, brain: BrainExtraction, input_spec: InputSpec) -> Preparation:
        """Follow a cohort's options; without any, prepare as the service does."""
        if not options.skull_stripped:
            return cls(brain, input_spec, options.registered)
        undilated = input_spec.model_copy(update={"brain_dilation_mm": 0.0})
        return cls(StrippedBrain(), undilated, options.registered)

    def prepare(self, t1_post: Volume, t1: Volume | None, threads: int = 2) -> PreparedVolumes:
        """Turn a study into the ensemble's input; see ``worker.preprocessing.prepare_volumes``."""
        if t1 is None or not self.registered:
            return prepare_volumes(t1_post, t1, self.brain, self.input_spec, threads)
        alone = prepare_volumes(t1_post, None, self.brain, self.input_spec, threads)
        return self._with_registered_t1(alone, t1_post, t1)

    def _with_registered_t1(self, alone: PreparedVolumes, t1_post: Volume, t1: Volume) -> PreparedVolumes:
        """Subtract T1 where it lies; as in the service, the study goes on without one that is no use."""
        grid, mask_kji = alone.grid, alone.brain_mask_kji
        head_kji = resample_linear(t1_post.voxels_kji, t1_post.grid, grid)
        pre_kji = resample_linear(t1.voxels_kji, t1.grid, grid, outside=np.nan)
        compared = mask_kji & np.isfinite(pre_kji)
        if np.count_nonzero(compared) < MIN_T1_COVERAGE * np.count_nonzero(mask_kji):
            return replace(alone, flags=(*alone.flags, QualityFlag.T1_COVERS_PART))
        correlation = local_correlation(t1_post, t1, np.eye(4))
        try:
            difference_kji = subtract(head_kji, pre_kji, mask_kji, mask_kji, correlation)
        except UnusableT1:
            return replace(alone, flags=(*alone.flags, QualityFlag.T1_UNUSABLE))
        poor = (QualityFlag.REGISTRATION_POOR,) if correlation < POOR_CORRELATION else ()
        return replace(
            alone,
            subtraction_kji=_normalise(difference_kji, compared),
            registration=RegistrationQuality(True, correlation, 0.0, 0.0),
            flags=(*poor, *(flag for flag in alone.flags if flag is not QualityFlag.T1_POST_ONLY)),
        )


def _normalise(voxels_kji: NDArray[np.float32], mask_kji: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Z-score inside the mask, 0 outside, as the worker does."""
    inside = voxels_kji[mask_kji].astype(np.float64)
    normalised = np.zeros(voxels_kji.shape, dtype=np.float32)
    normalised[mask_kji] = (inside - inside.mean()) / inside.std()
    return normalised
