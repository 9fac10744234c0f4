"""Found against inserted: which lesions were detected, how much of them, and what was invented."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.errors import InvalidInput
from phantom.lesions import SIZE_BOUNDARY_MM, LesionTruth
from phantom.study import PhantomTruth

Labels = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class LesionScore:
    """One inserted lesion and what was found of it.

    Parameters
    ----------
    truth
        The lesion inserted.
    detected
        A found voxel overlaps it.
    found_volume_mm3
        Of the found lesions that overlap it, whole; 0 when not detected.
    overlap_mm3
        Of the found voxels within it.
    found_numbers
        Those lesions' numbers in the found label map.
    """

    truth: LesionTruth
    detected: bool
    found_volume_mm3: float
    overlap_mm3: float
    found_numbers: tuple[int, ...]

    @property
    def is_large(self) -> bool:
        """Whether the equivalent diameter exceeds 6 mm."""
        return self.truth.equivalent_diameter_mm > SIZE_BOUNDARY_MM

    @property
    def relative_volume_error(self) -> float:
        """(found - true) / true volume."""
        return self.found_volume_mm3 / self.truth.volume_mm3 - 1


@dataclass(frozen=True, slots=True)
class StudyScore:
    """A study's lesions, in the order of the truth, and the found lesions that overlap none of them."""

    lesions: tuple[LesionScore, ...]
    false_positive_numbers: tuple[int, ...]

    @property
    def false_positives(self) -> int:
        """Number of found lesions that overlap no inserted one."""
        return len(self.false_positive_numbers)

    @property
    def sensitivity_large(self) -> float | None:
        """Detected share of the lesions above 6 mm; None without any."""
        return _sensitivity([lesion for lesion in self.lesions if lesion.is_large])

    @property
    def sensitivity_small(self) -> float | None:
        """Detected share of the lesions up to 6 mm; None without any."""
        return _sensitivity([lesion for lesion in self.lesions if not lesion.is_large])

    @property
    def median_volume_error_large(self) -> float | None:
        """Median of the size of the relative volume error of the detected large lesions; None without any."""
        errors = [
            abs(lesion.relative_volume_error)
            for lesion in self.lesions
            if lesion.is_large and lesion.detected
        ]
        return float(np.median(errors)) if errors else None


def match(truth: PhantomTruth, found: Labels, voxel_volume_mm3: float) -> StudyScore:
    """Compare a found label map with the truth; any overlap is a detection.

    Parameters
    ----------
    truth
        Of the study.
    found
        On T1-post's grid: 0, or the number of the found lesion. For a mask, see ``number_components``.
    voxel_volume_mm3
        Of that grid.

    Raises
    ------
    InvalidInput
        The shapes differ.
    """
    if found.shape != truth.label_map.shape:
        raise InvalidInput(f"found label map has shape {found.shape}, expected {truth.label_map.shape}")
    either = (truth.label_map > 0) | (found > 0)
    true_numbers, found_numbers = truth.label_map[either].astype(int), found[either].astype(int)
    volumes_mm3 = np.asarray(voxel_volume_mm3 * np.bincount(found_numbers), dtype=np.float64)
    lesions = tuple(
        _score(lesion, found_numbers[true_numbers == lesion.number], volumes_mm3, voxel_volume_mm3)
        for lesion in truth.lesions
    )
    overlapping = set(found_numbers[true_numbers > 0].tolist())
    invented = sorted(set(found_numbers.tolist()) - overlapping - {0})
    return StudyScore(lesions, tuple(invented))


def number_components(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the 26-connected components of a mask, numbered 1..n."""
    labels, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    return np.asarray(labels, dtype=np.int32)


def _score(
    truth: LesionTruth, found_within: NDArray[np.int_], volumes_mm3: NDArray[np.float64], voxel_mm3: float
) -> LesionScore:
    hits = found_within[found_within > 0]
    numbers = tuple(np.unique(hits).tolist())
    return LesionScore(
        truth=truth,
        detected=bool(numbers),
        found_volume_mm3=float(sum(volumes_mm3[number] for number in numbers)),
        overlap_mm3=len(hits) * voxel_mm3,
        found_numbers=numbers,
    )


def _sensitivity(lesions: list[LesionScore]) -> float | None:
    return sum(lesion.detected for lesion in lesions) / len(lesions) if lesions else None
