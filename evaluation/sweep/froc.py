"""Tallies of studies -> sweeps and FROC curves of a cohort, and the operating point they suggest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.figures.pooled import Estimate
from evaluation.figures.size_classes import SIZE_CLASSES
from evaluation.figures.sweeps import (
    EnsembleSweep,
    FalsePositiveLevel,
    OperatingPointChoice,
    SummarySensitivity,
    SweepPoint,
)
from evaluation.scoring.statistics import LEAST_GROUPS, percentile_interval, resample, share
from evaluation.sweep.curves import FrocCurve, is_reached, read_curve
from evaluation.sweep.study import THRESHOLDS, StudyTally, Subset

Floats = NDArray[np.float64]

FP_LEVELS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""False positives a scan at which FROC curves are read."""

COMPONENT_VOXELS = (1, 2, 3, 4, 6, 8)
"""Smallest components an operating point may ask for, in voxels of 1 mm: up to a sphere of 2.5 mm."""


def pool_sweep(tallies: Sequence[StudyTally], subset: Subset, minimum_voxels: int) -> EnsembleSweep | None:
    """Put one ensemble's tallies together; None when no study has all of its members."""
    studies = [tally for tally in tallies if subset.name in tally.tallies]
    if not studies:
        return None
    points = tuple(_pool_point(studies, subset.name, n, minimum_voxels) for n in range(len(THRESHOLDS)))
    levels = _read_levels(FrocCurve(studies, subset.name, minimum_voxels))
    return EnsembleSweep(subset.name, subset.member_names, points, levels)


def _read_levels(curve: FrocCurve) -> tuple[FalsePositiveLevel, ...]:
    number = curve.n_anatomies
    if curve.n_lesions == 0:
        nothing = Estimate(None, None, None, number)
        return tuple(FalsePositiveLevel(level, nothing, reached=False) for level in FP_LEVELS)
    whole = curve.points()
    drawn = curve.points(resample(number)) if number >= LEAST_GROUPS else None
    levels = []
    for level in FP_LEVELS:
        reached = is_reached(*whole, level)
        value = float(read_curve(*whole, level, at_fewest=True)[0])
        low, high = percentile_interval(read_curve(*drawn, level)) if drawn and reached else (None, None)
        levels.append(FalsePositiveLevel(level, Estimate(value, low, high, number), reached))
    return tuple(levels)


def choose_operating_point(
    tallies: Sequence[StudyTally], subset: Subset, max_fp_per_scan: float
) -> OperatingPointChoice:
    """Choose the threshold and component size that find most within so many false positives a scan.

    Of equally sensitive ones the one with fewer false positives, then the lower threshold: its
    outlines hold more of each lesion.
    """
    studies = [tally for tally in tallies if subset.name in tally.tallies]
    options = [
        (*_count(studies, subset.name, index, voxels), index, voxels)
        for index in range(len(THRESHOLDS))
        for voxels in COMPONENT_VOXELS
    ]
    allowed = [option for option in options if studies and option[1] <= max_fp_per_scan * len(studies)]
    if not allowed:
        return OperatingPointChoice(subset.name, max_fp_per_scan, None, None, None, None)
    found, invented, index, voxels = min(allowed, key=lambda option: (-option[0], *option[1:]))
    return OperatingPointChoice(
        ensemble=subset.name,
        max_fp_per_scan=max_fp_per_scan,
        threshold=THRESHOLDS[index],
        minimum_component_voxels=voxels,
        sensitivity=share(found, sum(len(tally.lesion_sizes_mm3) for tally in studies)),
        fp_per_scan=invented / len(studies),
    )


def _count(studies: Sequence[StudyTally], name: str, index: int, minimum_voxels: int) -> tuple[int, int]:
    """Return the detected lesions and the false positives of all studies."""
    tallies = [study.tallies[name][index] for study in studies]
    found = sum(int(tally.detected(minimum_voxels).sum()) for tally in tallies)
    return found, sum(tally.false_positives(minimum_voxels) for tally in tallies)


def _pool_point(studies: Sequence[StudyTally], name: str, index: int, minimum_voxels: int) -> SweepPoint:
    tallies = [study.tallies[name][index] for study in studies]
    found = [tally.detected(minimum_voxels) for tally in tallies]
    invented = [tally.false_positives(minimum_voxels) for tally in tallies]
    sizes_mm3 = np.concatenate([study.lesion_sizes_mm3 for study in studies])
    n_found, n_invented = int(sum(f.sum() for f in found)), sum(invented)
    with_lesions = [(f, n) for f, n in zip(found, invented, strict=True) if len(f)]
    dice = [tally.dice for tally in tallies if tally.dice is not None]
    return SweepPoint(
        threshold=THRESHOLDS[index],
        n_studies=len(studies),
        n_lesions=len(sizes_mm3),
        detected=n_found,
        false_positives=n_invented,
        sensitivity=_by_size(np.concatenate(found), sizes_mm3),
        fp_per_scan=n_invented / len(studies),
        ppv=share(n_found, n_found + n_invented),
        median_dice=float(np.median(dice)) if dice else None,
        mean_fn_rate=_mean([float(1 - f.mean()) for f, _ in with_lesions]),
        mean_fd_rate=_mean([n / len(f) for f, n in with_lesions]),
    )


def _by_size(found: NDArray[np.bool_], sizes_mm3: Floats) -> SummarySensitivity:
    def sensitivity(size: str) -> float | None:
        low, high = SIZE_CLASSES[size]
        inside = (sizes_mm3 > low) & (sizes_mm3 <= high)
        return share(int(found[inside].sum()), int(inside.sum()))

    return SummarySensitivity(*(sensitivity(size) for size in ("all", "ge_3mm", "ge_5mm", "ge_6mm")))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
