"""One study at one operating point: the service's own lesions against the reference, on the T1-post grid.

Neither is resampled here: the reference is drawn on that grid, and ``find_lesions`` outlines on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.geometry import Grid
from core.study import AnalysisMode
from evaluation.figures.outcomes import FalsePositive, LesionOutcome, StudyOutcome
from evaluation.inference.stored_study import StoredStudy
from evaluation.scoring.brats import score_lesion_wise
from evaluation.scoring.matching import Overlaps, overlap
from evaluation.scoring.statistics import share
from evaluation.scoring.surfaces import SurfaceDistance, joint_box, measure_surface_distance
from phantom.lesions import equivalent_diameter_mm
from phantom.synthesis.anatomy.structures import Enhancing
from worker.lesions import CONNECTIVITY_26, Findings, find_lesions
from worker.model_set import OperatingPoint

LEAST_COVER = 0.25
"""Voxels of a structure by those of the false positive that it explains; fewer are there by chance."""

Peaks = dict[int, tuple[float | None, ...]]
"""Reference lesion -> highest output of each member inside it."""


@dataclass(frozen=True, slots=True)
class StudyScore:
    """What was found in a study, by scan, by reference lesion, and what was invented."""

    study: StudyOutcome
    lesions: tuple[LesionOutcome, ...]
    false_positives: tuple[FalsePositive, ...]


@dataclass(frozen=True, eq=False)
class _Comparison:
    """Both label maps, and how they lie over each other."""

    study: StoredStudy
    findings: Findings
    overlaps: Overlaps

    @property
    def grid(self) -> Grid:
        return self.study.source_grid


def score_study(
    study: StoredStudy, member_names: tuple[str, ...], mode: AnalysisMode, point: OperatingPoint, peaks: Peaks
) -> StudyScore:
    """Find the study's lesions with some of its members, and compare.

    Parameters
    ----------
    member_names
        Of members that took part.
    mode
        What the service would call this; recorded with the score.
    peaks
        For the lesions' ``member_peaks``.
    """
    findings = find_lesions(study.probability(member_names, mode), study.source_grid, point, _name)
    comparison = _Comparison(study, findings, overlap(study.reference_kji, findings.label_map_kji))
    return StudyScore(
        _score_scan(comparison, mode, point.threshold),
        _score_lesions(comparison, peaks),
        _describe_false_positives(comparison),
    )


def _name(number: int) -> tuple[str, str]:
    return str(number), ""


def _score_scan(comparison: _Comparison, mode: AnalysisMode, threshold: float) -> StudyOutcome:
    study, overlaps, voxel_mm3 = comparison.study, comparison.overlaps, comparison.grid.voxel_volume_mm3
    n_reference, n_detected = len(overlaps.detected), int(overlaps.detected.sum())
    n_false = len(overlaps.false_positives)
    return StudyOutcome(
        name=study.name,
        anatomy=study.anatomy,
        mode=mode,
        threshold=threshold,
        flags=study.flags,
        brain_volume_mm3=study.brain_volume_mm3,
        seconds=study.seconds,
        n_reference=n_reference,
        n_predicted=len(overlaps.prediction_voxels),
        n_detected=n_detected,
        n_strictly_detected=int(overlaps.one_to_one().sum()),
        n_false_positives=n_false,
        sensitivity=share(n_detected, n_reference),
        fn_rate=share(n_reference - n_detected, n_reference),
        fd_rate=share(n_false, n_reference),
        dice=overlaps.scan_dice(),
        reference_volume_mm3=float(overlaps.reference_voxels.sum() * voxel_mm3),
        predicted_volume_mm3=float(overlaps.prediction_voxels.sum() * voxel_mm3),
        brats=score_lesion_wise(
            study.reference_kji, comparison.findings.label_map_kji, comparison.grid.spacing_kji_mm
        ),
    )


def _score_lesions(comparison: _Comparison, peaks: Peaks) -> tuple[LesionOutcome, ...]:
    references = ndimage.find_objects(comparison.study.reference_kji)
    predictions = ndimage.find_objects(comparison.findings.label_map_kji)
    alone = comparison.overlaps.one_to_one()
    return tuple(
        _score_lesion(comparison, number, box, predictions, strictly=bool(alone[number - 1]), peaks=peaks)
        for number, box in enumerate(references, start=1)
    )


def _score_lesion(
    comparison: _Comparison,
    number: int,
    box: tuple[slice, ...],
    predictions: Sequence[tuple[slice, ...]],
    *,
    strictly: bool,
    peaks: Peaks,
) -> LesionOutcome:
    study, overlaps, voxel_mm3 = comparison.study, comparison.overlaps, comparison.grid.voxel_volume_mm3
    found = overlaps.predictions_of(number)
    volume_mm3 = float(overlaps.reference_voxels[number - 1] * voxel_mm3)
    true_mm3 = None if study.lesion_volumes_mm3 is None else study.lesion_volumes_mm3[number - 1]
    distance = _measure_distance(comparison, number, joint_box([box, *(predictions[n - 1] for n in found)]))
    inside = np.argwhere(study.reference_kji[box] == number) + [s.start for s in box]
    x, y, z = comparison.grid.to_lps_mm(inside.mean(axis=0)).tolist()
    return LesionOutcome(
        study=study.name,
        anatomy=study.anatomy,
        number=number,
        volume_mm3=volume_mm3,
        true_volume_mm3=true_mm3,
        equivalent_diameter_mm=equivalent_diameter_mm(volume_mm3 if true_mm3 is None else true_mm3),
        centroid_lps_mm=(x, y, z),
        detected=len(found) > 0,
        strictly_detected=strictly,
        predicted_volume_mm3=float(overlaps.prediction_voxels[found - 1].sum() * voxel_mm3),
        dice=overlaps.lesion_dice(number),
        hd95_mm=None if distance is None else distance.prediction_to_reference_mm,
        hd95_symmetric_mm=None if distance is None else distance.symmetric_mm,
        surface_dice=None if distance is None else distance.surface_dice,
        member_peaks=peaks[number],
    )


def _measure_distance(comparison: _Comparison, number: int, box: tuple[slice, ...]) -> SurfaceDistance | None:
    """Measure a lesion against the whole of the predictions that overlap it."""
    found = comparison.overlaps.predictions_of(number)
    if len(found) == 0:
        return None
    return measure_surface_distance(
        np.isin(comparison.findings.label_map_kji[box], found),
        np.asarray(comparison.study.reference_kji[box] == number),
        comparison.grid.spacing_kji_mm,
    )


def _describe_false_positives(comparison: _Comparison) -> tuple[FalsePositive, ...]:
    found = [comparison.findings.lesions[number - 1] for number in comparison.overlaps.false_positives]
    boxes = ndimage.find_objects(comparison.findings.label_map_kji)
    return tuple(
        FalsePositive(
            study=comparison.study.name,
            number=lesion.number,
            volume_mm3=lesion.volume_mm3,
            centroid_lps_mm=lesion.centroid_lps_mm,
            peak_probability=lesion.peak_probability,
            structure=_structure_under(comparison, lesion.number, boxes[lesion.number - 1]),
        )
        for lesion in found
    )


def _structure_under(comparison: _Comparison, number: int, box: tuple[slice, ...]) -> str | None:
    """Name what enhances under a predicted lesion and its rim of one voxel, if there is enough of it."""
    structures_kji = comparison.study.structures_kji
    if structures_kji is None:
        return None
    grown = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
    lesion = comparison.findings.label_map_kji[grown] == number
    inside: NDArray[np.bool_] = ndimage.binary_dilation(lesion, CONNECTIVITY_26)
    counts = np.bincount(structures_kji[grown][inside], minlength=1)
    counts[Enhancing.NONE] = 0
    is_enough = counts.max() >= LEAST_COVER * np.count_nonzero(lesion)
    return Enhancing(int(counts.argmax()) if is_enough else Enhancing.NONE).name
